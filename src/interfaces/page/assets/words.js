// States, times and names as people read them.

import { h } from './dom.js';

// The line of a deployment that goes well, and what each state means.
export const LINE = ['pending', 'planned', 'staging', 'building', 'hydrating', 'verifying', 'ready', 'cutting_over', 'soaking', 'cleaning_up', 'done'];

const MEANS = {
  pending: 'about to be planned',
  planned: 'planned, about to be staged',
  staging: 'schemas and clusters of the candidate are being made',
  building: 'the candidate is being built',
  hydrating: 'the candidate is hydrating',
  verifying: 'the candidate is being tested',
  ready: 'the candidate is ready',
  cutting_over: 'the swap is being made',
  soaking: 'live; the old side is kept',
  cleaning_up: 'live; the old side is being dropped',
  done: 'live; nothing is left to do',
  unwinding: 'the candidate is being dropped; production was not changed',
  aborted: 'given up; production was not changed',
  failed: 'failed; production was not changed',
  rolling_back: 'the old side is being put back',
  rolled_back: 'production is as it was before',
  stuck: 'a person must look; nothing is touched until then',
};

export const LIVE = ['soaking', 'cleaning_up', 'done'];
export const ENDED = ['done', 'aborted', 'failed', 'rolled_back'];

export function means(state) {
  return MEANS[state] ?? 'this page does not know the state';
}

export function badge(state) {
  const mood = { failed: 'bad', stuck: 'bad', rolled_back: 'warn', rolling_back: 'warn', aborted: 'warn', unwinding: 'warn', done: 'good', soaking: 'good', cleaning_up: 'good' };
  return h('span', { class: `badge ${mood[state] ?? 'busy'}` }, state.replaceAll('_', ' '));
}

const ACTIVITY = {
  idle: 'waits for the schedule or a request',
  planning: 'plans a release',
  releasing: 'releases',
  waiting_for_promotion: 'waits for somebody to promote',
  held_up: 'waits with what is ready: it is held or frozen',
  waiting_for_cleanup: 'waits for somebody to clean up',
  waiting_for_a_person: 'is stuck: a person must look',
  waiting_for_a_dependency: 'waits for something that does not answer',
};

export function activity(status) {
  const does = ACTIVITY[status.activity] ?? status.activity;
  return { leader: `leads, and ${does}`, standby: 'stands by', starting: 'is starting' }[status.role] ?? status.role;
}

export function who(subject) {
  if (!subject) return null;
  switch (subject.kind) {
    case 'token': return `the token ${subject.name}`;
    case 'user': return `${subject.name} on ${subject.host}`;
    case 'signal': return `${subject.name} on ${subject.host}`;
    case 'commit': return subject.author ? `a commit by ${subject.author}` : 'a commit';
    case 'schedule': return 'the schedule';
    case 'cutover': return 'Cutover by itself';
    default: return subject.name ?? subject.kind;
  }
}

// What must be so before the swap, and how that stands.
export function promotionTerms(promotion) {
  if (!promotion) return [];
  const { needed, approvals, gates = [] } = promotion;
  const answers = { not_asked: 'was not asked yet', not_yet: 'has not decided', unclear: 'gives no answer', yes: 'says yes', no: 'says no' };
  const list = (items) => h('ul', {}, items.map((item) => h('li', {}, item)));
  return [
    ['Approvals', needed ? [`${approvals.length} of ${needed}`, approvals.length > 0 && list(approvals.map((one) => [`${who(one.by)}, `, when(one.at)]))] : null],
    ['Gates', gates.length ? list(gates.map((gate) => [`${gate.name} ${answers[gate.answer] ?? gate.answer}${gate.says ? `: ${gate.says}` : ''}`, gate.until && gate.answer !== 'yes' && [', until ', when(gate.until)]])) : null],
    ['Promoted by itself', when(promotion.promote_at)],
    ['Expires', when(promotion.expires_at)],
  ];
}

export function short(id) {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? `${id.slice(0, 8)}…${id.slice(-4)}` : id;
}

export function revision(text) {
  return text ? h('code', { title: text }, /^[0-9a-f]{40,64}$/.test(text) ? text.slice(0, 10) : text) : null;
}

export function span(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

// A moment, and how far away it is.
export function when(at) {
  if (!at) return null;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const away = date - Date.now();
  const near = away > 0 ? `in ${span(away)}` : `${span(-away)} ago`;
  const two = (number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const text = `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return h('time', { datetime: at, title: at }, `${text} (${near})`);
}

export function toDeployment(id) {
  return h('a', { href: `#/deployments/${encodeURIComponent(id)}`, 'data-key': `to/${id}` }, h('code', {}, short(id)));
}
