// From a panel's queries to Grafana's data frames. Prometheus serves this page, and so is at its own address.
import { FieldType, toDataFrame } from '@grafana/data';
import dashboard from '../../batch-terminator.json';

const params = new URLSearchParams(location.search);
export const from = Number(params.get('from'));
export const to = Number(params.get('to'));
export const step = Math.max(2, Math.round((to - from) / 360));

// What Grafana puts in place of variables.
const variables = { __rate_interval: `${Math.max(4 * 2, step + 2)}s` };
for (const v of dashboard.templating.list) variables[v.name] = v.includeAll ? v.allValue : v.current?.value;

// What Azure Monitor would say, as far as the sandbox can: it counts the queue's messages.
const platform = {
  ActiveMessages: 'sandbox_queue_messages{state="active"}',
  ScheduledMessages: 'sandbox_queue_messages{state="scheduled"}',
  DeadletteredMessages: 'sandbox_queue_messages{state="dead-lettered"}',
  IncomingMessages: 'increase(sandbox_queue_events_total{event="incoming"}[1m])',
  CompleteMessage: 'increase(sandbox_queue_events_total{event="completed"}[1m])',
};

const fill = (text) => text.replace(/\$(\w+)/g, (whole, name) => variables[name] ?? whole);

async function series(expr) {
  const query = new URLSearchParams({ query: expr, start: from, end: to, step });
  const answer = await (await fetch('/api/v1/query_range', { method: 'POST', body: query })).json();
  if (answer.status !== 'success') throw new Error(`${expr}: ${answer.error}`);
  return answer.data.result;
}

// times are all steps of the range: a gap in the data has to be a gap in the picture.
const times = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

function frame(target, name, s) {
  const at = new Map(s.values.map(([time, value]) => [Math.round(time), Number(value)]));
  const values = times.map((time) => {
    const value = at.get(Math.round(time));
    return value === undefined || Number.isNaN(value) ? null : value;
  });
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: times.map((t) => t * 1000), config: { interval: step * 1000 } },
      { name, type: FieldType.number, labels: s.metric, values, config: { displayNameFromDS: name } },
    ],
  });
}

export async function frames(target) {
  if (target.azureMonitor) {
    const expr = platform[target.azureMonitor.metricName];
    return expr ? (await series(expr)).map((s) => frame(target, target.azureMonitor.alias, s)) : [];
  }
  const legend = fill(target.legendFormat);
  return (await series(fill(target.expr))).map((s) => frame(target, legend.replace(/\{\{(\w+)\}\}/g, (_, label) => s.metric[label] ?? ''), s));
}
