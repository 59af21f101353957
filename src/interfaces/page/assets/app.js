// Which view is shown, and when it is drawn again: after a change of address, and after news.

import { draw, h } from './dom.js';
import { me } from './api.js';
import { problem } from './actions.js';
import * as live from './live.js';
import * as environments from './environments.js';
import * as deployment from './deployment.js';
import * as history from './history.js';
import * as pulls from './pulls.js';
import * as stuck from './stuck.js';

const VIEWS = { '': environments, deployments: deployment, history, pulls, stuck };
const NAV = [['', 'Environments'], ['history', 'History'], ['pulls', 'Pull requests'], ['stuck', 'Stuck']];
const SLOW = 700;
const CALM = 400;
// Not everything that a view shows is told as news.
const LOOK_AGAIN = 15_000;
// Browsers open few connections to one place; a tab that nobody looks at gives its stream back.
const HIDDEN = 60_000;

const main = document.getElementById('main');
const liveness = document.getElementById('live');

let shown = { address: null, view: null, data: null };
let turn = 0;
let timer = null;
let isIn = false;
let hiding = null;

function address() {
  const [name = '', ...parts] = location.hash.replace(/^#\/?/, '').split('/');
  try {
    return { name, parts: parts.filter(Boolean).map(decodeURIComponent), text: location.hash };
  } catch {
    return { name: 'nowhere', parts: [], text: location.hash };
  }
}

function navigation(name) {
  draw(document.getElementById('nav'), NAV.map(([view, text]) =>
    h('a', { href: `#/${view}`, 'data-key': `nav/${view}`, 'aria-current': view === name ? 'page' : null }, text)));
}

// Draws what is loaded; asks the daemon first unless nothing but the view itself has changed.
async function render(isNew) {
  const { name, parts, text } = address();
  const view = VIEWS[name];
  navigation(name);
  turn += 1;
  const mine = turn;
  if (!view) {
    draw(main, h('h1', { tabindex: '-1' }, 'There is no such view'), h('p', {}, h('a', { href: '#/' }, 'To the environments')));
    return;
  }
  const slow = setTimeout(() => {
    if (mine !== turn || !isNew) return;
    draw(main, h('p', { role: 'status', class: 'quiet' }, 'The daemon takes its time…'));
  }, SLOW);
  try {
    const data = await view.load(...parts);
    if (mine !== turn) return;
    shown = { address: text, view, data };
    paint();
    if (isNew) arrive();
  } catch (error) {
    if (mine !== turn) return;
    console.warn(error);
    if (isNew || error.status === 404) {
      draw(main, h('h1', { tabindex: '-1' }, 'That did not work'), problem(error), h('p', {}, h('button', { type: 'button', id: 'again', on: { click: () => render(true) } }, 'Try again')));
    }
  } finally {
    clearTimeout(slow);
  }
}

function paint() {
  if (!shown.view) return;
  draw(main, shown.view.view(shown.data, shown.view === environments ? paint : () => render(false), (to) => { location.hash = to; }));
  document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
  if (performance.getEntriesByName('drawn').length === 0) performance.mark('drawn');
}

// A new view is told to whoever cannot see it.
function arrive() {
  const head = main.querySelector('h1');
  document.title = `${head?.textContent ?? 'Cutover'} · Cutover`;
  head?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

// Soon, and once for many news.
function soon() {
  timer ??= setTimeout(() => {
    timer = null;
    // Nobody's form is taken away under their fingers.
    if (document.querySelector('dialog[open]') || main.querySelector('input:focus, select:focus')) {
      soon();
      return;
    }
    render(false);
  }, CALM);
}

function told(news) {
  const kind = news.progress.event;
  if (shown.view === deployment && kind !== 'state') deployment.news(shown.data, news);
  else if (kind === 'state' || (kind === 'readiness' && shown.view === environments)) soon();
}

function lost(isLost) {
  liveness.className = isLost ? 'lost' : 'live';
  liveness.textContent = isLost ? 'connection lost, trying again' : 'live';
}

document.addEventListener('signed-out', () => {
  turn += 1;
  isIn = false;
  live.disconnect();
  liveness.className = '';
  liveness.textContent = '';
  shown = { address: null, view: null, data: null };
  draw(main, h('h1', { tabindex: '-1' }, 'You are logged out'), h('p', {}, 'The session has ended, or its token was taken away.'), h('p', {}, h('a', { href: '/', id: 'login' }, 'Log in')));
  main.querySelector('h1').focus();
});
document.addEventListener('asked', soon);
addEventListener('hashchange', () => {
  document.querySelector('dialog[open]')?.close();
  render(true);
});

setInterval(() => {
  const changes = [environments, deployment, stuck].includes(shown.view);
  if (isIn && changes && !document.hidden && !document.querySelector('dialog[open]')) soon();
}, LOOK_AGAIN);
document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => live.disconnect(), HIDDEN);
  } else if (isIn && !live.isOpen()) {
    live.connect(lost, soon);
    soon();
  }
});

const session = await me().catch(() => null);
if (session?.scopes.includes('read')) {
  isIn = true;
  live.listen(told);
  live.connect(lost, soon);
  await render(true);
} else if (session?.scopes.includes('ci')) {
  navigation('pulls');
  if (address().name === 'pulls' && address().parts.length === 2) await render(true);
}
