// Each relation of a deployment over time, as the daemon remembers it since it leads: how far it lags, and when it was hydrated.

import { details, h, table } from './dom.js';
import { bars, lines, sinceWhen } from './lines.js';
import { span } from './words.js';

// So many lines can be told apart.
const MOST_LINES = 8;

const lags = (one) => one.points.map((point) => point[1]).filter((lag) => lag !== null);
const worst = (one) => Math.max(...lags(one), -1);

export function relations(readings) {
  const all = readings?.relations ?? [];
  if (all.length === 0) return h('p', { class: 'quiet' }, 'Relations: the daemon was told nothing about them since it began to lead.');
  const behind = [...all].filter((one) => worst(one) >= 0).sort((one, other) => worst(other) - worst(one)).slice(0, MOST_LINES);
  const series = new Map(behind.map((one) => [one.relation, one.points.map(([at, lag]) => ({ at, value: lag, more: one.cluster }))]));
  const rows = all.map((one) => {
    const [, lag] = one.points.at(-1);
    return [h('code', {}, one.relation), one.cluster, sinceWhen(one), lag === null ? 'unknown' : span(lag), worst(one) < 0 ? '' : span(worst(one))];
  });
  return [
    series.size > 0 && lines('relations/lag', 'Lag of each relation', series, span),
    bars('Hydration of each relation', all),
    readings.left_out && h('p', { class: 'quiet' }, `There are more relations; these ${all.length} took longest or lag most.`),
    details('relations/table', `Relations (${all.length})`, table('Relations', ['Relation', 'Cluster', 'Hydrated', 'Lag now', 'Worst lag'], rows)),
  ];
}
