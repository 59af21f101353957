// A plan as a picture: a box for each schema on a cluster, in it the nodes with why each is built. Boxes
// stand to the right of what they follow from. Closed boxes keep 500 nodes readable; a search opens them.

import { h, s } from './dom.js';

const WIDE = 230;
const GAP = { x: 64, y: 18 };
const HEAD = 50;
const ROW = 22;
const TALLEST = 900;
const OPEN_UP_TO = 60;

const MARKS = {
  changed: ['●', 'changed'],
  downstream: ['▶', 'downstream of what changed'],
  shares: ['◆', 'shares a schema or a cluster'],
  full: ['■', 'full release'],
  other: ['○', 'another reason'],
};

export function markOf(reason) {
  const text = String(reason ?? '');
  if (text.startsWith('downstream of ')) return 'downstream';
  if (text.startsWith('shares ')) return 'shares';
  if (text === 'full release') return 'full';
  return text ? 'changed' : 'other';
}

// Which nodes a node follows from, as far as the plan says.
function inputs(node) {
  const named = new Set(Array.isArray(node.depends_on) ? node.depends_on : []);
  // Plans of versions before say so in the reason alone; it may read it through what makes no relation.
  const of = /^downstream of (\S+)$/.exec(node.reason ?? '');
  if (of) named.add(of[1]);
  return [...named];
}

export class Graph {
  constructor(plan, statusOf) {
    this.statusOf = statusOf;
    this.search = '';
    const replaced = (plan.replacements ?? []).map((one) => ({
      unique_id: one.node, schema: one.schema, identifier: one.name, cluster: one.cluster,
      materialized: 'materialized_view', reason: 'changed: it is replaced in place',
    }));
    const known = new Set((plan.nodes ?? []).map((node) => node.unique_id));
    this.nodes = [...(plan.nodes ?? []), ...replaced.filter((node) => !known.has(node.unique_id))];
    this.byId = new Map(this.nodes.map((node) => [node.unique_id, node]));
    this.groups = new Map();
    for (const node of this.nodes) {
      const key = JSON.stringify([node.cluster ?? '', node.schema ?? '']);
      if (!this.groups.has(key)) {
        this.groups.set(key, { key, cluster: node.cluster, schema: node.schema, nodes: [], isOpen: this.nodes.length <= OPEN_UP_TO, depth: 0 });
      }
      const group = this.groups.get(key);
      group.nodes.push(node);
      node.group = group;
    }
    this.edges = this.nodes.flatMap((node) => inputs(node)
      .filter((id) => this.byId.has(id) && id !== node.unique_id)
      .map((id) => [this.byId.get(id), node]));
    this.deepen();
    this.rows = new Map();
  }

  // Boxes go to the right of those that they follow from; where boxes follow from each other, not for ever.
  deepen() {
    const between = new Map();
    for (const [from, to] of this.edges) {
      if (from.group !== to.group) between.set(`${from.group.key}\n${to.group.key}`, [from.group, to.group]);
    }
    for (let round = 0; round < Math.min(this.groups.size, 12); round += 1) {
      let moved = false;
      for (const [from, to] of between.values()) {
        if (to.depth <= from.depth && from.depth < 11) {
          to.depth = from.depth + 1;
          moved = true;
        }
      }
      if (!moved) break;
    }
  }

  element() {
    if (this.nodes.length === 0) return h('p', { class: 'quiet' }, 'Nothing is built.');
    this.detail = h('p', { class: 'detail', 'aria-live': 'polite' }, 'Point at a node, or go to it with the Tab key, to see why it is built.');
    const before = this.stage && { left: this.stage.scrollLeft, top: this.stage.scrollTop };
    this.stage = h('div', { class: 'scroll stage', role: 'region', 'aria-label': 'The plan as a picture', tabindex: '0' });
    this.found = h('span', { class: 'quiet', role: 'status' });
    const search = h('input', { type: 'search', id: 'graph-search', 'aria-label': 'Search nodes by name, schema, cluster or reason', placeholder: 'Search nodes', value: this.search, on: { input: (event) => this.look(event.target.value) } });
    const all = (isOpen, text) => h('button', { type: 'button', 'data-key': `graph/${text}`, on: { click: () => this.openAll(isOpen) } }, text);
    this.paint();
    // Drawn again, it is looked at in the same place.
    if (before) queueMicrotask(() => this.stage.scrollTo(before));
    return h('div', { class: 'graph' },
      h('div', { class: 'bar' }, search, all(true, 'Open all'), all(false, 'Close all'), this.found),
      h('ul', { class: 'legend' }, Object.entries(MARKS)
        .filter(([mark]) => this.nodes.some((node) => markOf(node.reason) === mark))
        .map(([mark, [sign, text]]) => h('li', {}, h('span', { class: `mark ${mark}`, 'aria-hidden': 'true' }, sign), ` ${text}: ${this.nodes.filter((node) => markOf(node.reason) === mark).length}`))),
      this.stage, this.detail);
  }

  openAll(isOpen) {
    for (const group of this.groups.values()) group.isOpen = isOpen;
    this.paint();
  }

  look(text) {
    this.search = text;
    this.paint();
  }

  matches(node) {
    const wanted = this.search.trim().toLowerCase();
    if (!wanted) return true;
    return [node.unique_id, node.identifier, node.schema, node.cluster, node.reason].some((text) => String(text ?? '').toLowerCase().includes(wanted));
  }

  shown(group) {
    if (this.search.trim()) return group.nodes.filter((node) => this.matches(node));
    return group.isOpen ? group.nodes : [];
  }

  // Columns of boxes by depth; a column that would be too tall goes on beside itself.
  place() {
    const order = (a, b) => a.depth - b.depth || String(a.cluster ?? '').localeCompare(String(b.cluster ?? '')) || String(a.schema ?? '').localeCompare(String(b.schema ?? ''));
    let [x, y, depth, bottom] = [8, 8, null, 0];
    for (const group of [...this.groups.values()].sort(order)) {
      group.rows = this.shown(group);
      if (this.search.trim() && group.rows.length === 0) {
        group.box = null;
        continue;
      }
      const height = HEAD + group.rows.length * ROW + (group.rows.length ? 8 : 0);
      if (depth !== null && (group.depth !== depth || y + height > TALLEST)) {
        x += WIDE + GAP.x;
        y = 8;
      }
      depth = group.depth;
      group.box = { x, y, height };
      y += height + GAP.y;
      bottom = Math.max(bottom, y);
    }
    return { width: x + WIDE + 8, height: Math.max(bottom, HEAD) };
  }

  paint() {
    const { width, height } = this.place();
    this.rows.clear();
    const active = document.activeElement?.getAttribute?.('data-key');
    const picture = s('svg', { width, height, viewBox: `0 0 ${width} ${height}`, class: 'picture', role: 'group', 'aria-label': `${this.nodes.length} nodes in ${this.groups.size} boxes` });
    picture.append(this.curves());
    for (const group of this.groups.values()) if (group.box) picture.append(this.box(group));
    this.stage.replaceChildren(picture);
    const there = this.nodes.filter((node) => this.matches(node)).length;
    this.found.textContent = this.search.trim() ? `${there} of ${this.nodes.length} nodes` : `${this.nodes.length} nodes`;
    if (active?.startsWith('box/')) {
      [...picture.querySelectorAll('[data-key]')].find((one) => one.getAttribute('data-key') === active)?.focus({ preventScroll: true });
    }
  }

  // One curve for all edges between two boxes: the more, the wider.
  curves() {
    const between = new Map();
    for (const [from, to] of this.edges) {
      if (from.group === to.group || !from.group.box || !to.group.box) continue;
      const key = `${from.group.key}\n${to.group.key}`;
      const known = between.get(key) ?? { from: from.group.box, to: to.group.box, count: 0 };
      known.count += 1;
      between.set(key, known);
    }
    return s('g', { class: 'edges', 'aria-hidden': 'true' }, [...between.values()].map(({ from, to, count }) => {
      const [x1, y1, x2, y2] = [from.x + WIDE, from.y + HEAD / 2, to.x, to.y + HEAD / 2];
      const bend = Math.max(40, Math.abs(x2 - x1) / 2);
      return s('path', { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, 'stroke-width': Math.min(1 + Math.log2(count), 6) });
    }));
  }

  box(group) {
    const { x, y, height } = group.box;
    const counts = Object.keys(MARKS).map((mark) => [mark, group.nodes.filter((node) => markOf(node.reason) === mark).length]).filter(([, count]) => count > 0);
    const told = counts.map(([mark, count]) => `${count} ${MARKS[mark][1]}`).join(', ');
    const place = group.cluster ? `on ${group.cluster}` : 'on no cluster';
    const toggle = () => {
      group.isOpen = !group.isOpen;
      this.paint();
    };
    const head = s('g', {
      class: 'head', role: 'button', tabindex: '0', 'data-key': `box/${group.key}`, 'aria-expanded': String(group.rows.length > 0),
      'aria-label': `schema ${group.schema ?? 'none'} ${place}: ${told}`,
      on: { click: toggle, keydown: (event) => {
        if (event.key === 'Enter' || event.key === ' ') {
          event.preventDefault();
          toggle();
        }
      } },
    },
    s('rect', { x, y, width: WIDE, height: HEAD, rx: 6 }),
    s('text', { x: x + 10, y: y + 20, class: 'schema' }, `${group.rows.length ? '▾' : '▸'} ${cut(group.schema ?? 'no schema', 24)}`),
    s('text', { x: x + 10, y: y + 38, class: 'place' }, cut(place, 20), ...counts.map(([mark, count]) => s('tspan', { class: `mark ${mark}` }, `  ${MARKS[mark][0]}${count}`))),
    s('title', {}, `${group.schema} ${place}: ${told}`));
    return s('g', { class: 'box' }, s('rect', { x, y, width: WIDE, height, rx: 6, class: 'frame' }), head,
      group.rows.map((node, number) => this.row(node, x, y + HEAD + number * ROW)));
  }

  row(node, x, y) {
    const mark = markOf(node.reason);
    const tell = () => this.tell(node);
    const row = s('g', {
      class: `node ${this.statusClass(node)}`, tabindex: '0', role: 'img', 'data-key': `box/${node.unique_id}`,
      'aria-label': `${node.identifier}: ${node.reason ?? ''}`, on: { focus: tell, pointerenter: tell, click: tell },
    },
    s('rect', { x: x + 4, y: y + 2, width: WIDE - 8, height: ROW - 2, rx: 4 }),
    s('text', { x: x + 12, y: y + 16 }, s('tspan', { class: `mark ${mark}` }, MARKS[mark][0]), ` ${cut(node.identifier ?? node.unique_id, 26)}`),
    s('title', {}, `${node.unique_id}\n${node.reason ?? ''}`));
    this.rows.set(node.unique_id, row);
    return row;
  }

  statusClass(node) {
    const status = this.statusOf(node.unique_id)?.status;
    if (!status) return '';
    if (status === 'started') return 'started';
    return ['success', 'pass'].includes(status) ? 'finished' : 'troubled';
  }

  // How far a node is has changed.
  refresh(id) {
    const row = this.rows.get(id);
    if (row) row.setAttribute('class', `node ${this.statusClass(this.byId.get(id))}`);
  }

  tell(node) {
    const status = this.statusOf(node.unique_id);
    const parts = [node.materialized, node.cluster ? `on ${node.cluster}` : null, status ? `${status.status}${status.seconds ? ` in ${status.seconds.toFixed(1)} s` : ''}` : null];
    const element = h('span', {}, h('strong', {}, `${node.schema}.${node.identifier}`), ` (${parts.filter(Boolean).join(', ')}): ${node.reason ?? ''}`);
    this.detail.replaceChildren(element);
  }
}

function cut(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : letters.join('');
}
