// What a person must look at: why, what was found, and what each way out does.

import { h, terms } from './dom.js';
import { get, may, path, post } from './api.js';
import { VERBS, verbs } from './actions.js';
import { badge, toDeployment, when, who } from './words.js';

export async function load() {
  const { environments } = await get('/v1/environments');
  const troubled = environments.filter((status) => status.deployment?.state === 'stuck' || status.activity === 'waiting_for_a_person' || status.problem);
  return Promise.all(troubled.map(async (status) => {
    const isStuck = status.deployment?.state === 'stuck';
    const [record, ways] = await Promise.all([isStuck ? get(path`/v1/deployments/${status.deployment.id}`).catch(() => null) : null, isStuck ? waysOut(status) : []]);
    return { status, isStuck, record, ways };
  }));
}

// Each way out says by a dry run what it would do.
function waysOut({ environment, deployment }) {
  return Promise.all(['resume', 'abort', 'rollback', 'cleanup'].map(async (verb) => {
    if (!may(VERBS[verb].scope)) return { verb, says: `your token lacks the scope ${VERBS[verb].scope}`, is: 'unknown' };
    try {
      const { would } = await post(path`/v1/environments/${environment}/${verb}?dry_run=true`, { deployment: deployment.id });
      return { verb, says: `would ${would}`, is: 'open' };
    } catch (error) {
      return { verb, says: error.message, is: 'closed' };
    }
  }));
}

export function view(found) {
  return [h('h1', { tabindex: '-1' }, 'Stuck'), found.length === 0 && h('p', {}, 'Nothing is stuck, and nothing keeps a worker from its work.'), found.map(one)];
}

function one({ status, isStuck, record, ways }) {
  const at = record?.events?.findLast((event) => event.event.kind === 'stuck_at');
  const last = record?.effects?.findLast((effect) => !effect.finished_at);
  return h('section', { class: 'card', 'aria-label': status.environment },
    h('h2', {}, status.environment, ' ', status.deployment && badge(status.deployment.state)),
    terms([
      ['Deployment', status.deployment && toDeployment(status.deployment.id)],
      ['Asked by', who(status.deployment?.by)],
      ['Since', status.deployment && when(status.deployment.since)],
      ['Reason', status.deployment?.reason],
      ['Found', at && [`it got stuck while ${at.event.state.replaceAll('_', ' ')}: ${at.event.reason} `, when(at.at)]],
      ['Begun and not finished', last && [h('code', {}, last.key), ' ', when(last.started_at)]],
      ['What to do', status.problem ?? (isStuck ? 'look at what was found, mend it, then resume; or give up by one of the other ways out' : null)],
    ]),
    isStuck && [h('h3', {}, 'Ways out'), h('dl', { class: 'ways' }, ways.map(({ verb, says, is }) => [h('dt', { class: is }, VERBS[verb].says), h('dd', {}, says)])),
      verbs(status.environment, status.deployment.id, 'stuck', true, (name) => ways.some(({ verb, is }) => verb === name && is !== 'closed'))]);
}
