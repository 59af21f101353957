// Figures over time as lines, with the same figures as a table for whoever cannot see lines.

import { details, h, s, table } from './dom.js';
import { span } from './words.js';

const WIDTH = 640;
const HEIGHT = 160;
const EDGE = { left: 64, right: 12, top: 10, bottom: 22 };

// `series`: name → [{at, value}], at in milliseconds; a value may be unknown.
export function lines(key, title, series, format) {
  const all = [...series.values()].flat().filter((point) => point.value !== null && point.value !== undefined);
  if (all.length === 0) return h('p', { class: 'quiet' }, `${title}: nothing was told since this page was opened.`);
  const from = Math.min(...all.map((point) => point.at));
  const to = Math.max(...all.map((point) => point.at), from + 1000);
  const top = Math.max(...all.map((point) => point.value), 1);
  const x = (at) => EDGE.left + ((at - from) / (to - from)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  const names = [...series.keys()];
  const label = `${title}, from ${new Date(from).toLocaleTimeString()} to ${new Date(to).toLocaleTimeString()}, at most ${format(top)}`;
  const drawing = s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'lines', role: 'img', 'aria-label': label },
    [0, 0.5, 1].map((share) => s('g', { class: 'rule' },
      s('line', { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(top * share), y2: y(top * share) }),
      s('text', { x: EDGE.left - 6, y: y(top * share) + 4, 'text-anchor': 'end' }, format(top * share)))),
    s('text', { x: EDGE.left, y: HEIGHT - 6 }, new Date(from).toLocaleTimeString()),
    s('text', { x: WIDTH - EDGE.right, y: HEIGHT - 6, 'text-anchor': 'end' }, `${new Date(to).toLocaleTimeString()} (${span(to - from)})`),
    names.map((name, number) => drawn(series.get(name), x, y, number)));
  const legend = h('ul', { class: 'legend' }, names.map((name, number) => {
    const last = series.get(name).at(-1);
    const now = last?.value === null || last?.value === undefined ? 'unknown' : format(last.value);
    return h('li', {}, h('span', { class: `swatch c${number % 8}`, 'aria-hidden': 'true' }), `${name}: ${now}`, last?.more ? ` (${last.more})` : '');
  }));
  const rows = names.flatMap((name) => series.get(name).slice(-20).map((point) =>
    [name, new Date(point.at).toLocaleTimeString(), point.value === null ? 'unknown' : format(point.value), point.more ?? '']));
  return h('figure', {}, h('figcaption', {}, title), drawing, legend,
    details(`${key}/figures`, 'As figures', table(title, ['What', 'When', 'Value', 'Which'], rows)));
}

// A line breaks where a value is unknown.
function drawn(points, x, y, number) {
  let text = '';
  let down = false;
  for (const point of points) {
    if (point.value === null || point.value === undefined) {
      down = false;
      continue;
    }
    text += `${down ? 'L' : 'M'}${x(point.at).toFixed(1)} ${y(point.value).toFixed(1)}`;
    down = true;
  }
  const last = points.findLast((point) => point.value !== null && point.value !== undefined);
  return s('g', { class: `c${number % 8}` }, s('path', { d: text, fill: 'none' }),
    last && s('circle', { cx: x(last.at), cy: y(last.value), r: 3 }));
}

// One bar for each relation: from when on it is hydrated. `all`: [{relation, cluster, points: [[at, lag, hydrated]]}].
export function bars(title, all) {
  const from = Math.min(...all.map((one) => one.points[0][0]));
  const to = Math.max(...all.map((one) => one.points.at(-1)[0]), from + 1000);
  const [tall, left] = [18, 230];
  const x = (at) => left + ((at - from) / (to - from)) * (WIDTH - left - EDGE.right);
  const rows = all.map((one, number) => {
    const y = number * tall + 4;
    const parts = [];
    for (const [place, [at, , hydrated]] of one.points.entries()) {
      const last = parts.at(-1);
      const end = one.points[place + 1]?.[0] ?? to;
      if (last && last.hydrated === hydrated) last.end = end;
      else parts.push({ at, end, hydrated });
    }
    return s('g', {}, s('text', { x: left - 8, y: y + 10, 'text-anchor': 'end' }, cut(one.relation, 34)),
      parts.map(({ at, end, hydrated }) => s('rect', { x: x(at), y, width: Math.max(x(end) - x(at), 2), height: 11, class: hydrated ? 'hydrated' : 'dry' })),
      s('title', {}, `${one.relation}: ${sinceWhen(one)}`));
  });
  const height = all.length * tall + 22;
  const now = all.filter((one) => one.points.at(-1)[2]).length;
  return h('figure', {}, h('figcaption', {}, title), s('svg', {
    viewBox: `0 0 ${WIDTH} ${height}`, class: 'lines', role: 'img',
    'aria-label': `${title}: ${now} of ${all.length} relations are hydrated, from ${new Date(from).toLocaleTimeString()} to ${new Date(to).toLocaleTimeString()}`,
  }, rows, s('text', { x: left, y: height - 6 }, new Date(from).toLocaleTimeString()),
  s('text', { x: WIDTH - EDGE.right, y: height - 6, 'text-anchor': 'end' }, new Date(to).toLocaleTimeString())));
}

// Since when a relation is hydrated, in words.
export function sinceWhen({ points }) {
  if (!points.at(-1)[2]) return 'not hydrated';
  const before = points.findLastIndex((point) => !point[2]);
  return before < 0 ? 'hydrated all the time' : `hydrated since ${new Date(points[before + 1][0]).toLocaleTimeString()}`;
}

function cut(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? `…${letters.slice(letters.length - most + 1).join('')}` : letters.join('');
}
