// Makes elements. Text is always text: no string becomes markup, here or anywhere else.

const SVG = 'http://www.w3.org/2000/svg';

// What would move, hide or turn text is shown as its code: names come from strangers.
const HOSTILE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

export function visible(text) {
  return String(text).replace(HOSTILE, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === 'value') {
      element.value = value;
    } else if (name === 'href' && !/^[#/]/.test(value)) {
      throw new Error('a link leads out of the page');
    } else if (name.startsWith('on') || name === 'style') {
      throw new Error(`${name} is not set as text`);
    } else {
      element.setAttribute(name, value === true ? '' : visible(value));
    }
  }
  put(element, children);
  return element;
}

function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
}

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Sections that were opened stay open when the view is drawn again.
const opened = new Set();

export function details(key, summary, ...children) {
  const element = h('details', { 'data-key': key }, h('summary', { 'data-key': `${key}/summary` }, summary), children);
  element.open = opened.has(key);
  element.addEventListener('toggle', () => (element.open ? opened.add(key) : opened.delete(key)));
  return element;
}

// Replaces what an element holds; what had the focus has it again.
export function draw(element, ...children) {
  const active = document.activeElement;
  const inside = active && active !== element && element.contains(active);
  const key = inside ? active.getAttribute('data-key') ?? active.id : null;
  const fragment = document.createDocumentFragment();
  put(fragment, children);
  element.replaceChildren(fragment);
  if (!key) return;
  for (const candidate of element.querySelectorAll('[data-key], [id]')) {
    if ((candidate.getAttribute('data-key') ?? candidate.id) === key) {
      candidate.focus({ preventScroll: true });
      return;
    }
  }
}

// A table in a box that scrolls by itself; each row: cells.
export function table(label, heads, rows, empty = 'None.') {
  if (rows.length === 0) return h('p', { class: 'quiet' }, empty);
  return h('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: '0' },
    h('table', {},
      h('thead', {}, h('tr', {}, heads.map((head) => h('th', { scope: 'col' }, head)))),
      h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell) => h('td', {}, cell)))))));
}

// Pairs of a term and what there is to say; what is empty is left out.
export function terms(pairs) {
  const there = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return h('dl', {}, there.map(([term, value]) => [h('dt', {}, term), h('dd', {}, value)]));
}

// Anything at all, as far as its form says how it is read: for documents that know more than this page.
export function anything(value, label = '', depth = 0) {
  if (value === null || value === undefined) return h('span', { class: 'quiet' }, 'nothing');
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return h('time', { datetime: value }, value);
  if (typeof value === 'string' && value.includes('\n')) return difference(value);
  if (typeof value !== 'object') return h('span', {}, String(value));
  if (depth > 5) return h('code', {}, JSON.stringify(value));
  if (!Array.isArray(value)) {
    return terms(Object.entries(value).map(([key, inner]) => [said(key), anything(inner, key, depth + 1)]));
  }
  if (value.length === 0) return h('span', { class: 'quiet' }, 'none');
  const shown = value.slice(0, 500);
  const more = value.length > shown.length && h('p', { class: 'quiet' }, `and ${value.length - shown.length} more`);
  if (shown.every((one) => one && typeof one === 'object' && !Array.isArray(one))) {
    const keys = [...new Set(shown.flatMap((one) => Object.keys(one)))];
    const rows = shown.map((one) => keys.map((key) => (key in one ? anything(one[key], key, depth + 1) : '')));
    return h('div', {}, table(said(label || 'list'), keys.map(said), rows), more);
  }
  return h('ul', {}, shown.map((one) => h('li', {}, anything(one, label, depth + 1))), more && h('li', {}, more));
}

// Lines of text; those of a diff have its marks.
export function difference(text) {
  const lines = text.split('\n').map((line) => {
    const kind = { '+': 'added', '-': 'removed', '@': 'place' }[line[0]] ?? null;
    return h('span', { class: kind }, `${line}\n`);
  });
  return h('pre', { tabindex: '0' }, lines);
}

export function said(key) {
  const words = String(key).replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
