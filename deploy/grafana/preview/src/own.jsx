// What Grafana does not publish as a library and this page draws by itself: state timelines and heatmaps.
import React from 'react';

const clock = (ms) => new Date(ms).toISOString().slice(11, 16);

// axis has a mark at every second minute.
function Axis({ times, x, y }) {
  const marks = times.filter((t) => t % 120000 < times[1] - times[0]);
  return marks.map((t) => <text key={t} x={x(t)} y={y} fill="#ccccdc" fontSize="11" textAnchor="middle">{clock(t)}</text>);
}

export function StateTimeline({ frames, width, height, theme }) {
  const times = frames[0].fields[0].values;
  const left = Math.min(200, 20 + 6.6 * Math.max(...frames.map((f) => f.fields[1].config.displayNameFromDS.length)));
  const first = times[0];
  const last = times[times.length - 1];
  const x = (t) => left + ((t - first) / (last - first)) * (width - left - 12);
  const rowHeight = (height - 20) / frames.length;
  return (
    <svg width={width} height={height}>
      {frames.map((f, row) => {
        const field = f.fields[1];
        const bars = [];
        field.values.forEach((value, i) => {
          if (value === null) return;
          const shown = field.display(value);
          const end = times[i + 1] ?? last;
          const before = bars[bars.length - 1];
          if (before && before.color === shown.color && before.end === times[i]) before.end = end;
          else bars.push({ start: times[i], end, color: shown.color });
        });
        const y = row * rowHeight;
        return (
          <g key={row}>
            <text x={left - 8} y={y + rowHeight / 2 + 4} fill="#ccccdc" fontSize="12" textAnchor="end">{field.config.displayNameFromDS}</text>
            {bars.map((b) => <rect key={b.start} x={x(b.start)} y={y + rowHeight * 0.08} width={Math.max(1, x(b.end) - x(b.start))} height={rowHeight * 0.84} fill={theme.visualization.getColorByName(b.color)} opacity="0.85" />)}
          </g>
        );
      })}
      <Axis times={times} x={x} y={height - 4} />
    </svg>
  );
}

// Heatmap takes cumulative buckets, one frame for each upper bound.
export function Heatmap({ frames, width, height }) {
  const times = frames[0].fields[0].values;
  const sorted = [...frames].sort((a, b) => bound(a) - bound(b));
  const cells = sorted.map((f, i) => f.fields[1].values.map((v, t) => Math.max(0, (v ?? 0) - (i ? (sorted[i - 1].fields[1].values[t] ?? 0) : 0))));
  const most = Math.max(1e-9, ...cells.flat());
  const left = 48;
  const first = times[0];
  const last = times[times.length - 1];
  const x = (t) => left + ((t - first) / (last - first)) * (width - left - 12);
  const rowHeight = (height - 20) / sorted.length;
  const w = (width - left - 12) / times.length;
  return (
    <svg width={width} height={height}>
      {sorted.map((f, row) => {
        const y = height - 20 - (row + 1) * rowHeight;
        return (
          <g key={row}>
            {row % 2 === 0 && <text x={left - 6} y={y + rowHeight / 2 + 4} fill="#ccccdc" fontSize="10" textAnchor="end">{seconds(bound(f))}</text>}
            {cells[row].map((n, i) => n > 1e-9 && <rect key={i} x={x(times[i])} y={y} width={w} height={rowHeight - 1} fill={turbo(Math.sqrt(n / most))} />)}
          </g>
        );
      })}
      <Axis times={times} x={x} y={height - 4} />
    </svg>
  );
}

const bound = (f) => (f.fields[1].labels.le === '+Inf' ? Infinity : Number(f.fields[1].labels.le));

function seconds(s) {
  if (s === Infinity) return 'more';
  if (s < 1) return `${s * 1000} ms`;
  if (s < 60) return `${s} s`;
  return s < 3600 ? `${s / 60} min` : `${s / 3600} h`;
}

// turbo runs from blue over green to red.
const turbo = (share) => `hsl(${240 - 240 * share}, 85%, ${35 + 20 * share}%)`;
