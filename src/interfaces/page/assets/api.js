// Asks the daemon's API, with the cookie of the session.

export class Problem extends Error {
  constructor(document, status) {
    super(document?.detail ?? `the daemon answered with status ${status}`);
    this.status = status;
    this.hint = document?.hint ?? '';
    this.leader = document?.leader ?? '';
  }
}

const PATIENCE = 60_000;

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(PATIENCE), ...options });
  } catch (error) {
    const late = error.name === 'TimeoutError';
    throw new Problem({ detail: late ? 'the daemon did not answer in time' : 'the daemon cannot be reached', hint: 'look whether it runs and whether the network is there' }, 0);
  }
  const text = await answer.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new Problem({ detail: 'the answer is no JSON', hint: 'something between here and the daemon answered in its place' }, answer.status);
  }
  if (answer.ok) return body;
  if (answer.status === 401) document.dispatchEvent(new Event('signed-out'));
  throw new Problem(body, answer.status);
}

// The parts of a path are data and are written so.
export function path(strings, ...parts) {
  return String.raw({ raw: strings }, ...parts.map((part) => encodeURIComponent(part)));
}

export function get(where) {
  return ask(where, {});
}

export function post(where, body, key) {
  const headers = { 'content-type': 'application/json', 'x-cutover-page': '1' };
  if (key) headers['idempotency-key'] = key;
  return ask(where, { method: 'POST', headers, body: JSON.stringify(body) });
}

// What makes asking twice the same as asking once.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

let session = null;

// Who is logged in: a name and scopes.
export async function me() {
  session ??= await get('/session');
  return session;
}

export function may(scope) {
  return session?.scopes?.includes(scope) ?? false;
}
