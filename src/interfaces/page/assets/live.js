// News from the daemon while the page is open, and what was collected of them: how far nodes are, and
// readings of readiness. Losing some never matters; views ask again for what the journal has.

const MOST_READINGS = 2000;
const MOST_NOTES = 200;
const AGAIN = 3000;

// Deployment → cluster → [{at, lag, hydrated, total, lagging, waiting}]
const readings = new Map();
// Deployment → node → {status, seconds}
const nodes = new Map();
// Deployment → {done, total, what}
const progress = new Map();
// Deployment → [{at, kind, text}]
const notes = new Map();
const listeners = new Set();

let source = null;
let isLost = false;
let later = null;

export const readingsOf = (deployment) => readings.get(deployment) ?? new Map();
export const nodesOf = (deployment) => nodes.get(deployment) ?? new Map();
export const progressOf = (deployment) => progress.get(deployment);
export const notesOf = (deployment) => notes.get(deployment) ?? [];

function of(map, key, make) {
  if (!map.has(key)) map.set(key, make());
  return map.get(key);
}

// Takes one reading of clusters, whoever told it.
export function read(deployment, clusters, at) {
  const known = of(readings, deployment, () => new Map());
  for (const cluster of clusters ?? []) {
    const series = of(known, cluster.cluster, () => []);
    const moment = new Date(at).getTime();
    if (series.length > 0 && series[series.length - 1].at >= moment) continue;
    series.push({
      at: moment, lag: cluster.lag_ms, hydrated: cluster.hydrated, total: cluster.total,
      lagging: cluster.lagging, waiting: cluster.waiting_for ?? [],
    });
    if (series.length > MOST_READINGS) series.shift();
  }
}

function take(news) {
  const { deployment, at, progress: what } = news;
  switch (what.event) {
    case 'node':
      of(nodes, deployment, () => new Map()).set(what.unique_id, what);
      progress.set(deployment, { done: what.done, total: what.total, what: 'nodes' });
      break;
    case 'work':
      progress.set(deployment, { done: what.done, total: what.total, what: what.what });
      break;
    case 'readiness':
    case 'watched':
      read(deployment, what.clusters, at);
      break;
    case 'note':
    case 'warning':
    case 'retry': {
      const list = of(notes, deployment, () => []);
      list.push({ at, kind: what.event, text: what.text });
      if (list.length > MOST_NOTES) list.shift();
      break;
    }
    default:
  }
  for (const listener of listeners) listener(news);
}

export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// Nobody is logged in any more, or nobody looks.
export function disconnect() {
  clearTimeout(later);
  source?.close();
  source = null;
}

export const isOpen = () => source !== null;

const KINDS = ['state', 'note', 'warning', 'retry', 'node', 'readiness', 'watched', 'work', 'message'];

// Opens the stream; `tell(lost)` whenever that changes, `again()` when news may have been missed.
export function connect(tell, again) {
  source?.close();
  source = new EventSource('/v1/stream');
  source.onopen = () => {
    tell(false);
    if (isLost) again();
    isLost = false;
  };
  source.onerror = () => {
    if (!source) return;
    isLost = true;
    tell(true);
    // A browser gives up where the answer was none; this page does not.
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(later);
      later = setTimeout(() => connect(tell, again), AGAIN);
      again();
    }
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      try {
        take(JSON.parse(event.data));
      } catch (error) {
        console.warn('news that cannot be read', error);
      }
    });
  }
  source.addEventListener('missed', () => again());
}
