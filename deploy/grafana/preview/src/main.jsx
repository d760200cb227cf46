// Draws batch-terminator.json with Grafana's own components, from what a Prometheus has recorded.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  applyFieldOverrides, createTheme, dateTime, FieldConfigOptionsRegistry, reduceField,
  standardFieldConfigEditorRegistry, ThemeContext,
} from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, TimeSeries } from '@grafana/ui';
import dashboard from '../../batch-terminator.json';
import { Heatmap, StateTimeline } from './own.jsx';
import { frames, from, to } from './query.js';

const pageWidth = 1600;
const column = pageWidth / 24;
const unitHeight = 34;
const rows = new URLSearchParams(location.search).get('rows')?.split(',');

// Grafana registers these options at its start; no library exports them.
const setting = (id, extra) => ({ id, path: id, name: id, editor: () => null, override: () => null, process: (v) => v, shouldApply: () => true, settings: {}, ...extra });
const standard = ['displayName', 'unit', 'min', 'max', 'decimals', 'noValue', 'mappings', 'thresholds', 'color', 'links', 'fieldMinMax'].map((id) => setting(id));
const custom = ['drawStyle', 'lineWidth', 'fillOpacity', 'lineInterpolation', 'showPoints', 'stacking', 'axisPlacement', 'scaleDistribution',
  'thresholdsStyle', 'spanNulls', 'axisSoftMax'].map((id) => setting(`custom.${id}`, { path: id, isCustom: true }));
standardFieldConfigEditorRegistry.setInit(() => standard);
const registry = new FieldConfigOptionsRegistry(() => [...standard, ...custom]);
const theme = createTheme({ colors: { mode: 'dark' } });
const timeRange = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: dateTime(from * 1000), to: dateTime(to * 1000) } };

async function load(panel) {
  if (panel.type === 'row') return [];
  const data = (await Promise.all(panel.targets.map(frames))).flat();
  return applyFieldOverrides({ data, fieldConfig: panel.fieldConfig, replaceVariables: (s) => s, theme, timeZone: 'utc', fieldConfigRegistry: registry });
}

function Content({ panel, data, width, height }) {
  if (data.length === 0) {
    return <div style={{ width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: '#8e8e9a', fontSize: 14 }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  switch (panel.type) {
    case 'stat': {
      const field = data[0].fields[1];
      const shown = field.display(reduceField({ field, reducers: ['lastNotNull'] }).lastNotNull);
      return <BigValue width={width} height={height} theme={theme} value={shown} colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} sparkline={{ y: field, x: data[0].fields[0] }} />;
    }
    case 'state-timeline': return <StateTimeline frames={data} width={width} height={height} theme={theme} />;
    case 'heatmap': return <Heatmap frames={data} width={width} height={height} />;
    default: return <TimeSeries frames={data} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options} structureRev={1} />;
  }
}

function Panel({ panel, data, top }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: x * column + 4, top: (y - top) * unitHeight };
  if (panel.type === 'row') {
    return <div style={{ ...place, color: '#ccccdc', fontSize: 16, fontWeight: 500, lineHeight: `${unitHeight}px` }}>{panel.collapsed ? '›' : '⌄'} {panel.title}</div>;
  }
  return (
    <div style={place}>
      <PanelChrome width={w * column - 8} height={h * unitHeight - 8} title={panel.title} description={panel.description}>
        {(width, height) => <Content panel={panel} data={data} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

// chosen are the rows asked for, closed up, with the panels below them.
function chosen() {
  const all = [];
  let below = [];
  for (const panel of dashboard.panels) {
    if (panel.type === 'row') {
      below = !rows || rows.some((name) => panel.title.startsWith(name)) ? all : [];
      if (panel.collapsed && rows) {
        const shift = panel.gridPos.y + 1 - Math.min(...panel.panels.map((p) => p.gridPos.y));
        below.push({ ...panel, collapsed: false }, ...panel.panels.map((p) => ({ ...p, gridPos: { ...p.gridPos, y: p.gridPos.y + shift } })));
        continue;
      }
    }
    below.push(panel);
  }
  let bottom = 0;
  let shift = 0;
  return all.map((panel) => {
    if (panel.type === 'row') shift = bottom - panel.gridPos.y;
    const y = panel.gridPos.y + shift;
    bottom = Math.max(bottom, y + panel.gridPos.h);
    return { ...panel, gridPos: { ...panel.gridPos, y } };
  });
}

async function draw() {
  const panels = chosen();
  const data = await Promise.all(panels.map(load));
  const height = Math.max(...panels.map((p) => p.gridPos.y + p.gridPos.h)) * unitHeight + 8;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', width: pageWidth, height }}>
        {panels.map((panel, i) => <Panel key={panel.id} panel={panel} data={data[i]} top={0} />)}
      </div>
    </ThemeContext.Provider>,
  );
  document.title = `height ${height}`;
}

draw().catch((e) => {
  document.body.style.color = 'red';
  document.body.innerText = e.stack;
  console.error(e);
});
