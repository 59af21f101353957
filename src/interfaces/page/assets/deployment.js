// One deployment: how far it is and how long that took, its plan as a picture, what is measured while it
// is under way, and everything that the journal has.

import { anything, details, draw, h, said, table, terms } from './dom.js';
import { get, path } from './api.js';
import { isWanted, verbs } from './actions.js';
import { isActive } from './environments.js';
import { Graph } from './graph.js';
import { lines } from './lines.js';
import * as live from './live.js';
import { logs } from './logs.js';
import { hasSomething } from './pulls.js';
import { relations } from './relations.js';
import { LINE, LIVE, badge, means, promotionTerms, span, toDeployment, when, who } from './words.js';

export async function load(id) {
  const [record, { environments }, readings] = await Promise.all([get(path`/v1/deployments/${id}`), get('/v1/environments'), get(path`/v1/deployments/${id}/readings`)]);
  const status = environments.find((one) => one.environment === record.environment);
  // The last reading, where none was told yet.
  if (status?.deployment?.id === record.id && live.readingsOf(record.id).size === 0) live.read(record.id, status.readiness, Date.now());
  return { record, status, readings };
}

// The picture is kept while its plan is the same, with what was opened and searched in it.
let kept = { id: null, graph: null };

export function view({ record, status, readings }) {
  const { plan, environment, id } = record;
  const now = status?.deployment?.id === id ? status.deployment.state : record.state;
  const active = isActive(record);
  if (kept.id !== id) kept = { id, graph: plan ? new Graph(plan, (node) => live.nodesOf(id).get(node)) : null };
  return [
    h('h1', { tabindex: '-1' }, 'Deployment ', badge(now)),
    terms([['Id', h('code', {}, id)], ['Environment', h('a', { href: `#/history/${encodeURIComponent(environment)}` }, environment)],
      ['State', means(now)], ['Asked by', who(record.by)], ['Began', when(record.created_at)], ['Ended', when(record.finished_at)], ['Because', record.reason],
      ['Revision', record.request?.revision ? h('code', {}, record.request.revision) : null],
      ...promotionTerms(record.promotion)]),
    verbs(environment, id, now, active, isWanted(record.promotion)),
    line(record, active),
    waiting(record),
    section('plan', 'The plan', plan ? [summary(plan), kept.graph.element()] : h('p', { class: 'quiet' }, 'It was never planned.')),
    active && section('build', 'Progress', h('div', { id: 'progress' }, progress(record))),
    section('readiness', 'Lag and hydration', h('div', { id: 'readiness' }, readiness(record, active)), h('div', { id: 'relations' }, relations(readings))),
    section('checks', 'Checks and tests', checks(record)),
    plan && section('changes', 'What production gains and loses', changes(plan)),
    section('stands', 'What stands in Materialize', stands(record, status)),
    section('logs', 'What dbt wrote', logs(id)),
    section('more', 'More', more(record)),
    section('record', 'The journal', [
      details('events', `Events (${record.events.length})`, events(record)),
      details('effects', `Effects (${record.effects.length})`, effects(record))]),
  ];
}

// What news change without asking again.
export function news({ record }, { deployment, environment, progress: what }) {
  if (environment !== record.environment || deployment !== record.id) return;
  const place = (id) => document.getElementById(id);
  if (what.event === 'node') kept.graph?.refresh(what.unique_id);
  if (place('progress')) draw(place('progress'), progress(record));
  if (what.event === 'readiness' || what.event === 'watched') draw(place('readiness'), readiness(record, true));
}

function section(key, title, ...children) {
  return h('section', { 'aria-labelledby': `h-${key}` }, h('h2', { id: `h-${key}` }, title), children);
}

// The states that it was in, one after the other, and those that are left where all goes well.
function line(record, active) {
  const stays = [];
  let [state, since] = ['pending', record.created_at];
  for (const event of record.events) {
    if (event.state_after !== state) {
      stays.push([state, since, event.at]);
      [state, since] = [event.state_after, event.at];
    }
  }
  stays.push([state, since, active ? null : record.finished_at ?? since]);
  const left = active && LINE.includes(state) ? LINE.slice(LINE.indexOf(state) + 1) : [];
  const estimate = record.plan?.estimated_hydration_ms;
  const usual = (name) => (name === 'hydrating' && estimate ? `usually ${span(estimate)}` : '');
  return h('ol', { class: 'line', 'aria-label': 'States' },
    stays.map(([name, from, to], number) => h('li', { class: number === stays.length - 1 ? 'now' : 'past', 'aria-current': number === stays.length - 1 ? 'step' : null },
      h('strong', {}, name.replaceAll('_', ' ')), h('span', {}, to === null ? `for ${span(Date.now() - new Date(from))}` : number === stays.length - 1 ? '' : span(new Date(to) - new Date(from))), h('span', { class: 'quiet' }, usual(name)))),
    left.map((name) => h('li', { class: 'later' }, h('strong', {}, name.replaceAll('_', ' ')), h('span', { class: 'quiet' }, usual(name)))));
}

function waiting(record) {
  if (!record.waiting?.reasons?.length) return null;
  return h('section', { class: 'note', 'aria-label': 'What it waits for' }, h('h2', {}, 'What it waits for'), h('ul', {}, record.waiting.reasons.map((reason) => h('li', {}, reason))), h('p', { class: 'quiet' }, 'Looked at ', when(record.waiting.at)));
}

function summary(plan) {
  return [terms([
    ['Project', plan.project], ['Target', plan.target], ['Database', plan.database], ['How much', plan.mode], ['How', plan.strategy === 'replace' ? 'replaced in place' : 'a green side is swapped'], ['Built by', plan.building?.engine ?? 'dbt'],
    ['Schemas', plan.schemas?.map((one) => one.name).join(', ')], ['Clusters', plan.clusters?.map((one) => one.name).join(', ')],
    ['Owners', plan.owners?.map((one) => `${one.name ?? one.email ?? one.slack} (${one.nodes.length})`).join(', ')],
    ['Compared with', plan.baseline?.deployment && toDeployment(plan.baseline.deployment)], ['Accepted', plan.accepted?.map((one) => one.name ?? one).join(', ')],
  ]), plan.notes?.length ? h('ul', { class: 'notes' }, plan.notes.map((note) => h('li', {}, note))) : null];
}

function progress(record) {
  const now = live.progressOf(record.id);
  const notes = live.notesOf(record.id);
  const troubled = [...live.nodesOf(record.id).values()].filter((node) => !['started', 'success', 'pass'].includes(node.status));
  return [now ? [h('progress', { max: String(Math.max(now.total, 1)), value: now.done, 'aria-label': `${now.done} of ${now.total} ${now.what}` }), ` ${now.done} of ${now.total} ${now.what}`] : h('p', { class: 'quiet' }, 'Nothing was told since this page was opened.'),
    troubled.length > 0 && h('ul', {}, troubled.slice(0, 50).map((node) => h('li', { class: 'bad' }, `${node.unique_id}: ${node.status}`))),
    notes.length > 0 && h('ul', { class: 'notes', 'aria-live': 'polite' }, notes.slice(-8).map((note) => h('li', { class: note.kind }, `${new Date(note.at).toLocaleTimeString()} ${note.text}`)))];
}

function readiness(record, active) {
  const clusters = active ? live.readingsOf(record.id) : new Map();
  const series = (value, more) => new Map([...clusters].map(([name, points]) => [name, points.map((point) => ({ at: point.at, value: value(point), more: more(point) }))]));
  const { watched } = record;
  const found = watched && terms([
    ['Looked at since the swap', `${watched.looks} times: ${watched.degraded} degraded, ${watched.unknown} unknown`],
    ['Worst lag', watched.worst && `${span(watched.worst.lag_ms)} on ${watched.worst.cluster}${watched.worst.object ? ` (${watched.worst.object})` : ''}`],
    ['The last look', watched.last && [watched.last.health, watched.last.why?.length ? `: ${watched.last.why.join('; ')}` : '', ' ', when(watched.last.at)]],
  ]);
  if (!active) return found ?? h('p', { class: 'quiet' }, 'It is not under way; readings are shown while they are taken.');
  return [
    lines('lag', 'Lag behind the sources', series((point) => point.lag ?? null, (point) => point.lagging ?? ''), span),
    lines('hydrated', 'Hydrated', series((point) => (point.total ? (100 * point.hydrated) / point.total : null), (point) => `${point.hydrated} of ${point.total}${point.waiting?.length ? `; ${point.waiting[0]}` : ''}`), (share) => `${Math.round(share)} %`),
    found];
}

const VERDICTS = { moment: 1, name: 1, verdict: 1 };

function checks(record) {
  const { plan } = record;
  const rows = (record.checks ?? []).map((check) => [check.moment, check.name ?? '', check.verdict?.kind ?? (typeof check.verdict === 'string' ? check.verdict : anything(check.verdict)), anything(Object.fromEntries(Object.entries(check).filter(([key]) => !(key in VERDICTS))))]);
  const tests = plan?.tests ?? [];
  const told = live.nodesOf(record.id);
  return [h('h3', {}, 'Checks by SQL'), table('Checks', ['When', 'Check', 'Verdict', 'More'], rows, 'None has run.'),
    details('tests', `Tests (${tests.length})`, table('Tests', ['Test', 'Status'], tests.map((test) => [h('code', {}, test), told.get(test)?.status ?? '']), 'None is planned.'))];
}

function changes(plan) {
  const columns = (plan.columns ?? []).map((one) => [one.relation, one.column, one.change, one.from ?? '', one.to ?? '']);
  const list = (items) => h('ul', {}, items.map((item) => h('li', {}, h('code', {}, item))));
  return [
    h('div', { class: 'pair' }, h('div', {}, h('h3', {}, 'Gains'), plan.gains?.length ? list(plan.gains) : h('p', { class: 'quiet' }, 'Nothing.')), h('div', {}, h('h3', {}, 'Loses'), plan.loses?.length ? list(plan.loses) : h('p', { class: 'quiet' }, 'Nothing.'))),
    h('h3', {}, 'Columns'), table('Columns', ['Relation', 'Column', 'Change', 'From', 'To'], columns, 'None is known to change.')];
}

// Which names mean which side, and what is known to have been made.
function stands(record, status) {
  const { plan, state } = record;
  if (!plan) return h('p', { class: 'quiet' }, 'Nothing.');
  const sides = LIVE.includes(state) ? ['serves now', state === 'done' ? 'gone' : 'the old side'] : ['serves', ['failed', 'aborted', 'rolled_back'].includes(state) ? 'gone' : 'the candidate'];
  const rows = [...(plan.schemas ?? []).map((one) => ['schema', one.name, one.green]), ...(plan.clusters ?? []).map((one) => ['cluster', one.name, one.green])]
    .map(([what, name, green]) => [what, h('code', {}, name), sides[0], h('code', {}, green), sides[1]]);
  const left = (status?.leftovers ?? []).filter((one) => one.deployment === record.id);
  const cost = (plan.clusters ?? []).filter((one) => one.hydration?.credits).map((one) => `${one.name}: ${one.hydration.credits.hydrating} credits an hour while it hydrates, then ${one.hydration.credits.production}`);
  return [table('Sides', ['What', 'Name', '', 'Other name', ''], rows, 'Schemas and clusters stay as they are.'),
    cost.length > 0 && h('ul', {}, cost.map((text) => h('li', {}, text))),
    left.length > 0 && [h('h3', {}, 'Left over'), table('Left over', ['What', 'Name', 'Id'], left.map((one) => [one.what, h('code', {}, one.name), h('code', {}, one.id)]))]];
}

// What this page has a place for; everything else of a document is shown as it is.
const SHOWN = new Set(['id', 'environment', 'state', 'created_at', 'updated_at', 'finished_at', 'reason', 'by', 'plan', 'checks', 'watched', 'waiting', 'events', 'effects']);
const OF_PLAN = new Set(['version', 'mode', 'strategy', 'environment', 'project', 'target', 'database', 'schemas', 'clusters', 'nodes', 'server', 'baseline', 'tests', 'gains', 'loses', 'columns', 'notes', 'accepted', 'owners', 'estimated_hydration_ms', 'manifest_hash', 'green_manifest_hash', 'build_selectors', 'test_selectors', 'default_privileges', 'inputs', 'outcomes', 'settings']);

function more(record) {
  const sections = (document, known, prefix) => Object.entries(document ?? {}).filter(([key, value]) => !known.has(key) && hasSomething(value))
    .map(([key, value]) => details(`${prefix}/${key}`, `${said(key)}${Array.isArray(value) ? ` (${value.length})` : ''}`, anything(value, key)));
  const all = [...sections(record, SHOWN, 'record'), ...sections(record.plan, OF_PLAN, 'plan')];
  return all.length > 0 ? all : h('p', { class: 'quiet' }, 'Nothing.');
}

function events(record) {
  return table('Events', ['#', 'When', 'What', 'State after', 'By', 'More'], record.events.map((one) => {
    const { kind, ...rest } = one.event;
    return [String(one.seq), when(one.at), said(kind), badge(one.state_after), who(one.by) ?? '', hasSomething(rest) ? anything(rest) : ''];
  }), 'None.');
}

function effects(record) {
  return table('Effects', ['What', 'Attempt', 'Began', 'Took', 'Result'], record.effects.map((one) => [h('code', {}, one.key), String(one.attempt), when(one.started_at),
    one.finished_at ? span(new Date(one.finished_at) - new Date(one.started_at)) : 'not finished',
    hasSomething(one.result) ? details(`effect/${one.key}`, 'shown', anything(one.result)) : '']), 'None.');
}
