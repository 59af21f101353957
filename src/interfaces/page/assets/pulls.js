// Pull requests: their corners, how long they stay, and the last report of each.

import { anything, details, h, table, terms } from './dom.js';
import { get, path } from './api.js';
import { problem } from './actions.js';
import { revision, short, span, when, who } from './words.js';

// Where a token may only look at corners, environments are not told; they are found by their name in the address.
export async function load(environment, name) {
  if (environment !== undefined && name !== undefined) {
    return { corner: await get(path`/v1/environments/${environment}/ci/${name}`) };
  }
  const { environments } = await get('/v1/environments');
  const names = environments.map((status) => status.environment).filter((one) => environment === undefined || one === environment);
  const lists = await Promise.all(names.map(async (one) => {
    try {
      return await get(path`/v1/environments/${one}/ci`);
    } catch (error) {
      return { environment: one, error };
    }
  }));
  return { lists };
}

export function view({ lists, corner }) {
  if (corner) return one(corner);
  return [h('h1', { tabindex: '-1' }, 'Pull requests'), lists.map((list) => h('section', {}, h('h2', {}, list.environment),
    list.error ? problem(list.error) : table(`Corners of ${list.environment}`,
      ['Corner', 'State', 'Verdict', 'Owner', 'Revision', 'Stays', 'Relations', 'Cluster', 'Cost'],
      list.corners.map((it) => [
        h('a', { href: `#/pulls/${encodeURIComponent(list.environment)}/${encodeURIComponent(it.name)}` }, it.name),
        it.state + (it.position ? ` (${it.position}. in line)` : '') + (it.is_worked_on ? ', worked on' : ''),
        it.verdict ?? '', it.owner, revision(it.revision) ?? '', when(it.expires_at), String(it.objects), it.cluster ?? '',
        it.credits === null || it.credits === undefined ? '' : `${it.credits.toFixed(2)} credits`]), 'No corner stands or waits.')))];
}

const OWN = new Set(['version', 'name', 'environment', 'verdict', 'error', 'revision', 'started_at', 'seconds', 'kind', 'project']);

function one({ environment, name, corner, build, teardown, report, ...more }) {
  const under = build && build.phase !== 'ended';
  return [h('h1', { tabindex: '-1' }, `Pull request ${name}`),
    terms([
      ['Environment', environment], ['State', corner?.state ?? 'gone'], ['Owner', corner?.owner],
      ['Stays', corner && when(corner.expires_at)], ['Schemas', corner?.schemas?.join(', ')], ['Cluster', corner?.cluster],
      ['Cluster has been there', corner?.cluster_seconds ? span(corner.cluster_seconds * 1000) : null],
      ['Build', build && [`${build.phase.replaceAll('_', ' ')}, asked for by ${who(build.by)} `, when(build.asked_at), build.phase === 'in_line' && build.position ? `, ${build.position}. in line` : '', build.failure ? `; ${build.failure.message}. ${build.failure.hint}` : '']],
      ['Teardown', teardown && [`${teardown.phase.replaceAll('_', ' ')}, asked for by ${who(teardown.by)} `, when(teardown.asked_at)]],
      ['Report of build', more.reported ? short(more.reported) : null],
    ]),
    under && h('p', { role: 'status' }, 'A build is under way.'),
    h('h2', {}, 'The last report'),
    report ? [terms([['Verdict', report.verdict], ['Error', report.error], ['Revision', revision(report.revision)], ['Began', when(report.started_at)], ['Took', span(report.seconds * 1000)]]),
      Object.entries(report).filter(([key, value]) => !OWN.has(key) && hasSomething(value)).map(([key, value]) =>
        details(`report/${key}`, `${key.replaceAll('_', ' ')}${Array.isArray(value) ? ` (${value.length})` : ''}`, anything(value, key)))]
      : h('p', { class: 'quiet' }, 'There is none.')];
}

export function hasSomething(value) {
  if (value === null || value === undefined || value === false || value === '') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}
