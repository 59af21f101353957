// What was released, and what was set out on; with filters.

import { draw, h, table } from './dom.js';
import { get, path } from './api.js';
import { badge, revision, span, toDeployment, when, who } from './words.js';

const filter = { state: '', text: '', limit: '50', what: 'deployments' };

export async function load(environment) {
  const { environments } = await get('/v1/environments');
  const names = environments.map((status) => status.environment);
  const name = environment ?? names[0];
  if (name === undefined) return { names, rows: [] };
  const kind = filter.what;
  const answer = await get(`${path`/v1/environments/${name}`}/${kind}?limit=${filter.limit}`);
  return { names, name, kind, rows: answer[kind] };
}

export function view({ names, name, kind, rows }, redraw, go) {
  if (name === undefined) return [h('h1', { tabindex: '-1' }, 'History'), h('p', {}, 'There is no environment that this token may see.')];
  const results = h('div', { id: 'results' });
  const states = [...new Set(rows.map((row) => row.state ?? row.outcome ?? 'under way'))].sort();
  const select = (id, label, values, value, change) => h('label', { for: id }, `${label} `,
    h('select', { id, on: { change: (event) => change(event.target.value) } }, values.map(([word, text]) => h('option', { value: word, selected: word === value }, text))));
  const show = () => draw(results, listing(kind, rows));
  const controls = h('form', { class: 'bar', role: 'search', 'aria-label': 'Filters', on: { submit: (event) => event.preventDefault() } },
    select('of', 'Environment', names.map((one) => [one, one]), name, (value) => go(`#/history/${encodeURIComponent(value)}`)),
    select('what', 'Show', [['deployments', 'deployments'], ['runs', 'runs, also of which nothing came']], kind, (value) => { filter.what = value; filter.state = ''; redraw(); }),
    select('state', 'State', [['', 'any'], ...states.map((one) => [one, one.replaceAll('_', ' ')])], filter.state, (value) => { filter.state = value; show(); }),
    h('label', { for: 'text' }, 'Text ', h('input', { id: 'text', type: 'search', value: filter.text, placeholder: 'id, reason, who', on: { input: (event) => { filter.text = event.target.value; show(); } } })),
    select('limit', 'At most', ['50', '200', '1000', '10000'].map((one) => [one, one]), filter.limit, (value) => { filter.limit = value; redraw(); }));
  show();
  return [h('h1', { tabindex: '-1' }, 'History'), controls, results];
}

function listing(kind, rows) {
  const wanted = filter.text.trim().toLowerCase();
  const kept = rows.filter((row) => (!filter.state || (row.state ?? row.outcome ?? 'under way') === filter.state)
    && (!wanted || JSON.stringify(row).toLowerCase().includes(wanted)));
  const counted = h('p', { class: 'quiet', role: 'status' }, `${kept.length} of ${rows.length}`);
  const took = (from, to) => (to ? span(new Date(to) - new Date(from)) : '');
  if (kind === 'runs') {
    const cells = kept.map((run) => [when(run.started_at), (run.outcome ?? 'under way').replaceAll('_', ' '), run.cause, run.deployment ? toDeployment(run.deployment) : '', revision(run.revision) ?? '', who(run.by) ?? '', took(run.started_at, run.finished_at), run.detail ?? '']);
    return [counted, table('Runs', ['Began', 'Outcome', 'Cause', 'Deployment', 'Revision', 'Asked by', 'Took', 'Detail'], cells, 'No run.')];
  }
  const cells = kept.map((one) => [toDeployment(one.id), badge(one.state), when(one.created_at), took(one.created_at, one.finished_at), who(one.by) ?? '', one.reason ?? '']);
  return [counted, table('Deployments', ['Deployment', 'State', 'Began', 'Took', 'Asked by', 'Reason'], cells, 'No deployment.')];
}
