// The buttons. Each first shows what a dry run says, and asks the daemon only when that was confirmed.

import { h, draw } from './dom.js';
import { may, newKey, path, post } from './api.js';

// What each needs, and in which states it makes sense to offer it.
export const VERBS = {
  approve: { scope: 'promote', says: 'Approve', states: ['ready'] },
  promote: { scope: 'promote', says: 'Promote', states: ['ready'], overrides: true },
  rollback: { scope: 'promote', says: 'Roll back', states: ['soaking', 'rolling_back', 'stuck'], forced: 'also where the old side is not ready' },
  cleanup: { scope: 'promote', says: 'Clean up', states: ['soaking', 'stuck'] },
  resume: { scope: 'promote', says: 'Resume', states: ['stuck'] },
  abort: { scope: 'release', says: 'Abort', states: ['pending', 'planned', 'staging', 'building', 'hydrating', 'verifying', 'ready', 'stuck'], danger: true },
};

function button(says, scope, reason, danger, key, open) {
  const why = may(scope) ? reason : `your token lacks the scope ${scope}`;
  const attributes = { type: 'button', class: danger ? 'danger' : null, 'data-key': key, disabled: Boolean(why), title: why, on: { click: open } };
  return h('span', { class: 'action' }, h('button', attributes, says), why && h('span', { class: 'why' }, why));
}

// Buttons for the deployment under way; `isOpen` says which of them, where that was asked.
export function verbs(environment, deployment, state, isActive, isOpen = () => true) {
  const offered = Object.entries(VERBS).filter(([name, verb]) => verb.states.includes(state) && isOpen(name));
  if (offered.length === 0 || !isActive) return null;
  return h('div', { class: 'actions', role: 'group', 'aria-label': `What can be asked of ${environment}` }, offered.map(([name, verb]) =>
    button(verb.says, verb.scope, null, verb.danger, `act/${environment}/${name}`, () => openVerb(environment, deployment, name, verb))));
}

// Whether the button makes sense: an approval only where one is missing.
export function isWanted(promotion) {
  return (name) => name !== 'approve' || (promotion?.needed ?? 0) > (promotion?.approvals.length ?? 0);
}

export function releaseButton(environment, reason) {
  return button('Release…', 'release', reason, false, `act/${environment}/release`, () => openRelease(environment));
}

function openVerb(environment, deployment, name, verb) {
  const force = verb.forced && h('input', { type: 'checkbox', id: 'force' });
  const why = verb.overrides && overrideField();
  const fields = force ? h('label', { for: 'force' }, force, ` ${verb.forced}`) : why && h('div', { class: 'fields' }, why);
  const body = () => ({ deployment, ...(force?.checked ? { force: true } : {}), ...overriding(fields) });
  dialog(`${verb.says}: ${environment}`, fields, () => [path`/v1/environments/${environment}/${name}`, body()], verb.says, verb.danger);
}

function openRelease(environment) {
  const text = (id, label, hint) => [h('label', { for: id }, label), h('input', { id, type: 'text', spellcheck: 'false', placeholder: hint })];
  const box = (id, label) => h('label', { for: id }, h('input', { id, type: 'checkbox' }), ` ${label}`);
  const fields = h('div', { class: 'fields' },
    text('select', 'Begin with (dbt\'s selection, blanks between)', 'all that changed'),
    text('exclude', 'Leave out', 'nothing'),
    text('selector', 'Or a selector of selectors.yml', ''),
    box('full', 'everything of vars.deployment, whatever changed'),
    box('wait', 'wait for somebody to promote it'),
    overrideField());
  const field = (id) => fields.querySelector(`#${id}`);
  const words = (id) => field(id).value.split(/\s+/).filter(Boolean);
  field('wait').checked = true;
  const body = () => ({
    full: field('full').checked, wait_for_promotion: field('wait').checked,
    ...(words('select').length ? { select: words('select') } : {}),
    ...(words('exclude').length ? { exclude: words('exclude') } : {}),
    ...(field('selector').value.trim() ? { selector: field('selector').value.trim() } : {}),
    ...overriding(fields),
  });
  dialog(`Release: ${environment}`, fields, () => [path`/v1/environments/${environment}/releases`, body()], 'Release', false);
}

// Hold, or what lifts it. `held` is what holds the environment now.
export function holdButtons(environment, held, reason) {
  const plain = held && !held.deployment;
  return [
    button(plain ? 'Hold otherwise…' : 'Hold…', 'promote', reason, false, `act/${environment}/hold`, () => openHold(environment)),
    held && button('Release the hold', 'promote', reason, false, `act/${environment}/release-hold`, () => openLift(environment, held)),
  ];
}

function openHold(environment) {
  const fields = h('div', { class: 'fields' },
    h('label', { for: 'reason' }, 'Why, for whoever is stopped by it'), h('input', { id: 'reason', type: 'text', required: true }),
    h('label', { for: 'until' }, 'Until (2h, or 2026-12-24T16:00:00Z)'), h('input', { id: 'until', type: 'text', spellcheck: 'false', placeholder: 'it is lifted' }));
  const value = (id) => fields.querySelector(`#${id}`).value.trim();
  const body = () => ({ reason: value('reason'), ...(value('until') ? { until: value('until') } : {}) });
  const missing = () => (value('reason') ? null : 'Say why first.');
  dialog(`Hold: ${environment}`, fields, () => [path`/v1/environments/${environment}/hold`, body()], 'Hold', false, missing);
}

function openLift(environment, held) {
  dialog(`Release the hold: ${environment}`, h('p', {}, `Held: ${held.reason}`), () => [path`/v1/environments/${environment}/release-hold`, {}], 'Release the hold', false);
}

function overrideField() {
  return [h('label', { for: 'override' }, 'Override a freeze, because'), h('input', { id: 'override', type: 'text', placeholder: 'a freeze stops it' })];
}

function overriding(fields) {
  const why = fields?.querySelector?.('#override')?.value.trim();
  return why ? { override_freeze: why } : {};
}

// Says what would happen; then does it, once however often it is pressed.
function dialog(title, fields, request, says, danger, missing = () => null) {
  const key = newKey();
  const said = h('div', { class: 'said', role: 'status' });
  const go = h('button', { type: 'button', class: danger ? 'danger' : 'main', disabled: true, id: 'confirm' }, says);
  const close = h('button', { type: 'button', id: 'close' }, 'Leave it');
  const element = h('dialog', { 'aria-labelledby': 'dialog-title' }, h('h2', { id: 'dialog-title' }, title), fields, said, h('div', { class: 'bar' }, go, close));
  const before = document.activeElement;
  let asked = 0;
  let isDone = false;
  const preview = async () => {
    asked += 1;
    const mine = asked;
    go.disabled = true;
    if (missing()) {
      draw(said, h('p', {}, missing()));
      return;
    }
    draw(said, h('p', {}, 'Asking what that would do…'));
    const [where, body] = request();
    try {
      const accepted = await post(`${where}?dry_run=true`, body);
      if (mine !== asked || isDone) return;
      draw(said, h('p', {}, h('strong', {}, 'A dry run says: '), `it would ${accepted.would}.`), accepted.deployment && h('p', { class: 'quiet' }, `Deployment ${accepted.deployment}`));
      go.disabled = false;
    } catch (error) {
      if (mine === asked && !isDone) draw(said, problem(error));
    }
  };
  go.addEventListener('click', async () => {
    go.disabled = true;
    isDone = true;
    const [where, body] = request();
    try {
      // The same wish has the same key; another one is another wish.
      const accepted = await post(where, body, `${key}-${asked}`);
      draw(said, h('p', {}, `Taken up: it will ${accepted.would}.`), h('p', { class: 'quiet' }, 'How it ends is seen here and in the journal.'));
      go.hidden = true;
      close.textContent = 'Close';
      close.focus();
      document.dispatchEvent(new Event('asked'));
    } catch (error) {
      draw(said, problem(error));
      isDone = false;
      go.disabled = error.status !== 0 && error.status < 500;
    }
  });
  close.addEventListener('click', () => element.close());
  element.addEventListener('close', () => {
    element.remove();
    const again = before?.isConnected ? before : [...document.querySelectorAll('[data-key]')].find((one) => one.getAttribute('data-key') === before?.getAttribute?.('data-key'));
    again?.focus();
  });
  fields?.addEventListener('change', preview);
  document.body.append(element);
  element.showModal();
  preview();
}

export function problem(error) {
  return h('div', { class: 'problem', role: 'alert' }, h('p', {}, `${error.message}.`), error.hint && h('p', {}, error.hint), error.leader && h('p', {}, `The leader: ${error.leader}`));
}
