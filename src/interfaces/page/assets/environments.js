// Every environment: what is live, what is under way, and what waits for whom.

import { h, terms } from './dom.js';
import { get, path } from './api.js';
import { holdButtons, isWanted, releaseButton, verbs } from './actions.js';
import { ENDED, LIVE, activity, badge, means, promotionTerms, revision, toDeployment, when, who } from './words.js';

const LOOKED_AT = 50;

// What is live, of each environment: {deployment, since, revision}. Asked for behind the first paint.
const live = new Map();

export async function load() {
  const { environments } = await get('/v1/environments');
  return environments;
}

export function view(environments, redraw) {
  for (const status of environments) lookAtLive(status, redraw);
  return [h('h1', { tabindex: '-1' }, 'Environments'),
    environments.length === 0 ? h('p', {}, 'There is none that this token may see.') : h('div', { class: 'cards' }, environments.map(card))];
}

export function isActive(deployment) {
  return Boolean(deployment) && !ENDED.includes(deployment.state);
}

function card(status) {
  const { environment, deployment } = status;
  const waits = {
    held_up: 'the end of the hold or the freeze',
    waiting_for_promotion: 'somebody to promote it', waiting_for_cleanup: 'somebody to clean up',
    waiting_for_a_person: 'a person who looks and resumes or aborts', waiting_for_a_dependency: 'something that does not answer',
  }[status.activity];
  const known = live.get(environment);
  const busy = isActive(deployment) || status.activity === 'planning' ? 'a release is under way' : null;
  const notHere = status.role === 'leader' ? null : 'this process does not lead it';
  const id = `env-${environment}`;
  return h('section', { class: 'card', 'aria-labelledby': id },
    h('h2', { id }, environment, ' ', deployment ? badge(deployment.state) : h('span', { class: 'badge' }, 'never released')),
    status.problem && h('p', { class: 'problem' }, status.problem),
    terms([
      ['Live', !known?.isKnown ? 'looking…' : !known.id ? 'none of Cutover\'s is known' : [toDeployment(known.id), ' since ', when(known.since)]],
      ['From revision', known?.id ? revision(known.revision) ?? 'not recorded' : null],
      [isActive(deployment) ? 'Under way' : 'Latest', deployment && [toDeployment(deployment.id), ` ${means(deployment.state)}, since `, when(deployment.since)]],
      ['Asked by', deployment && who(deployment.by)],
      ['Because', deployment?.reason],
      ['Held', status.held && [status.held.reason, status.held.until ? [', until ', when(status.held.until)] : status.held.deployment ? ', until somebody releases on' : ', until it is lifted', ', by ', who(status.held.by)]],
      ['Frozen', status.frozen && [status.frozen.until ? ['until ', when(status.frozen.until)] : 'until further notice', `: ${status.frozen.reason}`]],
      ['Chain', status.chain && `${status.chain.after} → ${environment}: ${status.chain.next}`],
      ['Waits for', status.promotion?.waits_for?.length ? status.promotion.waits_for.join(' and ') : waits],
      ...promotionTerms(status.promotion),
      ['Not ready yet', status.readiness.length > 0 && isActive(deployment) ? h('ul', {}, status.readiness.map((cluster) => h('li', {}, `${cluster.cluster}: ${cluster.hydrated} of ${cluster.total} hydrated`, (cluster.waiting_for ?? []).slice(0, 3).map((reason) => `; ${reason}`)))) : null],
      ['Still read', status.readers?.length ? h('ul', {}, status.readers.map((one) => h('li', {}, `the old side waits for ${one}`))) : null],
      ['Looked at', status.revision ? revision(status.revision) : null],
      ['Next firing', status.next_run ? when(status.next_run) : 'no schedule'],
      ['The daemon', activity(status)],
      ['Leader', status.role === 'leader' ? 'this process' : status.leader ?? 'another process, not known where'],
      ['Drift', drift(status.drift)],
      ['Left over', status.leftovers?.length ? h('ul', {}, status.leftovers.map((left) => h('li', {}, `${left.what} ${left.name} (${left.id}) of ${left.deployment}${left.ended ? `, ${left.ended}` : ''}`))) : null],
    ]),
    verbs(environment, deployment?.id, deployment?.state, isActive(deployment), isWanted(status.promotion)),
    h('div', { class: 'actions' }, releaseButton(environment, notHere ?? busy), holdButtons(environment, status.held, notHere), h('a', { href: `#/history/${encodeURIComponent(environment)}` }, 'History')));
}

const DRIFTED = {
  missing: 'is gone', recreated: 'was made again', extra: 'was made by no release', owner: 'has another owner',
  grants: 'has other grants', definition: 'has another query', options: 'was altered',
};

// What is live and not as it was released; nothing before the daemon has looked.
function drift(known) {
  if (!known) return null;
  const unknown = known.unknown && h('p', { class: 'problem' }, `not known: ${known.unknown}`);
  if (known.found.length === 0) return unknown || 'none';
  return [unknown, h('ul', {}, known.found.map((one) => h('li', {}, `${one.what} ${DRIFTED[one.change] ?? one.change}${one.detail ? ` (${one.detail})` : ''}, since `, when(one.since))))];
}

async function lookAtLive(status, redraw) {
  const { environment, deployment } = status;
  const before = live.get(environment);
  const key = `${deployment?.id} ${deployment?.state}`;
  if (before?.key === key) return;
  // Asked for once, also while the answer is awaited.
  live.set(environment, { ...before, key });
  try {
    const [{ deployments }, { runs }] = await Promise.all([
      get(path`/v1/environments/${environment}/deployments?limit=${LOOKED_AT}`),
      get(path`/v1/environments/${environment}/runs?limit=${LOOKED_AT}`)]);
    const found = deployments.find((one) => LIVE.includes(one.state));
    const run = found && runs.find((one) => one.deployment === found.id);
    live.set(environment, { key, isKnown: true, id: found?.id, since: found?.finished_at ?? found?.updated_at, revision: run?.revision });
  } catch {
    live.delete(environment);
    return;
  }
  redraw();
}
