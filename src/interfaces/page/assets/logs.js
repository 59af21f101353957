// The end of what dbt wrote for a deployment. It is asked for when somebody wants it, and again when somebody says so.

import { details, draw, h } from './dom.js';
import { get, path } from './api.js';

// Of the deployment that was looked at last.
let kept = { id: null, logs: null };

export function logs(id) {
  if (kept.id !== id) kept = { id, logs: null };
  const place = h('div', { 'aria-live': 'polite' }, shown());
  const button = h('button', { type: 'button', 'data-key': 'logs/read', on: { click: async () => {
    button.disabled = true;
    try {
      const { logs: found } = await get(path`/v1/deployments/${id}/logs`);
      if (kept.id === id) kept.logs = found;
      draw(place, shown());
    } catch (error) {
      draw(place, h('p', { class: 'bad', role: 'alert' }, error.message, error.hint ? ` – ${error.hint}` : ''));
    }
    button.disabled = false;
  } } }, kept.logs ? 'Read again' : 'Read the end of the logs');
  return [h('p', {}, button), place];
}

function shown() {
  if (kept.logs === null) return null;
  if (kept.logs.length === 0) return h('p', { class: 'quiet' }, 'None lie on the machine of this daemon.');
  return kept.logs.map((log) => details(`logs/${log.step}`, `${log.step} (${log.cut ? 'the last ' : ''}${log.lines.length} lines)`,
    h('pre', { tabindex: '0', class: 'log' }, log.lines.map((line) => h('span', { class: mood(line) }, `${line}\n`)))));
}

function mood(line) {
  if (/^\d\d:\d\d:\d\d error /.test(line)) return 'bad';
  return /^\d\d:\d\d:\d\d warn /.test(line) ? 'warned' : null;
}
