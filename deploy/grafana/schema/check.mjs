// check.mjs DASHBOARD: the dashboard against Grafana's types, and its panels and queries against those of their plugins.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const types = join(dirname(fileURLToPath(import.meta.url)), 'node_modules/@grafana/schema/dist/types/raw');
const ajv = new Ajv({ allErrors: true, strict: false });
const problems = [];

const validator = (file, type) =>
  ajv.compile(createGenerator({ path: join(types, file, 'x/types.gen.d.ts'), type, skipTypeCheck: true, expose: 'none' }).createSchema(type));

function check(where, validate, value) {
  if (validate(value)) return;
  for (const e of validate.errors) problems.push(`${where}${e.instancePath}: ${e.message} ${JSON.stringify(e.params)}`);
}

// without copies an object but for the members that a data source adds to Grafana's own type.
const without = (object, ...names) => Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

// A schema that allows everything would pass everything.
const sane = validator('dashboard', 'Dashboard');
if (sane({ schemaVersion: '41' }) || sane({ schemaVersion: 41, panel: [] })) throw new Error('the schema allows what it must not');

const dashboard = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const annotations = dashboard.annotations.list.map((a) => without(a, 'expr', 'step', 'titleFormat', 'textFormat'));
const variables = dashboard.templating.list.map((v) => without(v, 'definition'));
check('dashboard', sane, { ...dashboard, annotations: { list: annotations }, templating: { list: variables } });

const plugin = (name) => {
  const field = { stat: null, timeseries: 'FieldConfig', 'state-timeline': 'FieldConfig', heatmap: 'FieldConfig' }[name];
  if (field === undefined) throw new Error(`no types are known for the panel ${name}`);
  const folder = `composable/${name.replace('-', '')}/panelcfg`;
  return { options: validator(folder, 'Options'), custom: field && validator(folder, field) };
};
const plugins = {};
const azure = validator('composable/azuremonitor/dataquery', 'AzureMonitorQuery');
const panels = dashboard.panels.flatMap((p) => [p, ...(p.panels ?? [])]).filter((p) => p.type !== 'row');
for (const panel of panels) {
  const { options, custom } = (plugins[panel.type] ??= plugin(panel.type));
  check(`${panel.title}: options`, options, panel.options);
  if (custom) check(`${panel.title}: custom`, custom, panel.fieldConfig.defaults.custom ?? {});
  for (const target of panel.targets.filter((t) => t.azureMonitor)) check(`${panel.title}: ${target.refId}`, azure, target);
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${panels.length} panels are what Grafana's types allow`);
