import type { AccountChange, Group, LogLine, Problem, Role, Rule, Status, Trunk, Try } from '../src/api/types';
import { DOMAIN, account, line, type Person, type World } from './data';
import { importAccounts, quoted } from './importing';
import { tryRules } from './trying';

export interface Incoming extends AsyncIterable<Uint8Array> {
  method?: string;
  url?: string;
  headers: Record<string, string | string[] | undefined>;
  on(event: 'close', listener: () => void): unknown;
}
export interface Outgoing {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  write(text: string): unknown;
  end(text?: string): unknown;
}

class Refusal {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    readonly retryAfter?: number,
  ) {}
}

const refuse = (status: number, code: string, message = '', field?: string) => new Refusal(status, { code, message, field });

interface Call_ {
  world: World;
  person: Person;
  method: string;
  path: string[];
  query: URLSearchParams;
  body: unknown;
  text: string;
}

const ORDER: Role[] = ['administrator', 'operator', 'user'];
/** Who may change what; everything else is for administrators. */
const DAILY = new Set(['accounts', 'registrations', 'calls', 'groups', 'devices', 'blocks', 'rules', 'trunks']);

export async function handle(world: World, request: Incoming, response: Outgoing) {
  if (Date.now() < world.away) return response.end();
  const url = new URL(request.url ?? '/', 'http://mock');
  const method = request.method ?? 'GET';
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = new TextDecoder().decode(join(chunks));
    const path = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    const json = String(request.headers['content-type'] ?? '').includes('json');
    const body: unknown = json && text ? JSON.parse(text) : {};
    if (path[0] === 'session' && method === 'POST') return signIn(world, body, response);
    const person = who(world, request);
    if (path[0] === 'live') return stream(world, request, response);
    const call = { world, person, method, path, query: url.searchParams, body, text };
    allowed(call);
    const answer = await route(call);
    if (typeof answer === 'string') {
      response.setHeader('Content-Type', 'text/csv; charset=utf-8');
      response.end(answer);
    } else if (answer === undefined) {
      response.statusCode = 204;
      response.end();
    } else {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify(answer));
    }
  } catch (error) {
    const refusal = error instanceof Refusal ? error : refuse(500, 'unavailable', String(error));
    response.statusCode = refusal.status;
    if (refusal.retryAfter) response.setHeader('Retry-After', String(refusal.retryAfter));
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(refusal.problem));
  }
}

function join(chunks: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function signIn(world: World, body: unknown, response: Outgoing) {
  const { name, password } = body as { name: string; password: string };
  if (world.failures >= 5) {
    world.failures = 0;
    throw new Refusal(429, { code: 'too_many_tries', message: '' }, 30);
  }
  const person = world.people.find((p) => p.name === name && p.password === password);
  if (!person) {
    world.failures++;
    throw refuse(401, 'wrong_credentials');
  }
  world.failures = 0;
  person.lastSignedIn = Date.now();
  const token = crypto.randomUUID();
  world.sessions.set(token, person.name);
  response.setHeader('Set-Cookie', `sori=${token}; HttpOnly; SameSite=Strict; Path=/`);
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(sessionOf(person)));
}

const sessionOf = ({ name, role, mustChange }: Person) => ({ name, role, must_change_password: mustChange });

function tokenOf(request: Incoming): string {
  return /sori=([\w-]+)/.exec(String(request.headers.cookie ?? ''))?.[1] ?? '';
}

function who(world: World, request: Incoming): Person {
  const name = world.sessions.get(tokenOf(request));
  const person = world.people.find((p) => p.name === name);
  if (!person) throw refuse(401, 'not_signed_in');
  return person;
}

function allowed({ person, method, path }: Call_) {
  if (path[0] === 'session') return;
  if (person.mustChange) throw refuse(403, 'must_change_password');
  if (person.role === 'user' && !(path[0] === 'accounts' && path[1] === person.name)) throw refuse(403, 'forbidden');
  if (path[0] === 'administrators' && person.role !== 'administrator') throw refuse(403, 'forbidden');
  const trying = path[0] === 'rules' && path[1] === 'try';
  if (method !== 'GET' && !trying && person.role === 'operator' && !DAILY.has(path[0])) throw refuse(403, 'forbidden');
}

function status(world: World): Status {
  const registered = world.accounts.filter((a) => a.registered).length;
  const wave = (Math.sin(Date.now() / 7000) + 1) / 2;
  return {
    version: '0.4.0',
    started: world.started,
    now: Date.now(),
    domains: [DOMAIN],
    listeners: world.settings.fixed.listen.map((text) => ({ transport: text.split(' ')[0], address: text.split(' ')[1] })),
    accounts: world.accounts.length,
    registered_users: registered,
    registrations: world.registrations.length,
    calls: world.calls.length,
    requests_per_second: world.accounts.length ? 40 + wave * 30 : 0,
    responses_per_second: world.accounts.length ? 41 + wave * 30 : 0,
    calls_per_second: world.calls.length ? wave : 0,
    requests: 1_284_331,
    responses: 1_299_004,
    malformed: 17,
    retransmissions: 210,
    calls_proxied: 40_112,
    load: 0.012 + wave * 0.02,
    memory: 48_300_000 + wave * 900_000,
    trunks: {
      total: world.trunks.filter((t) => t.enabled).length,
      reachable: world.trunks.filter((t) => ['registered', 'reachable'].includes(t.status.state)).length,
    },
    blocked_sources: world.blocks.length,
    notices: world.notices.filter(({ code }) => code !== 'no_accounts' || !world.accounts.length),
  };
}

function stream(world: World, request: Incoming, response: Outgoing) {
  const token = tokenOf(request);
  response.setHeader('Content-Type', 'text/event-stream');
  const send = (event: string, value: unknown) => response.write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`);
  let seen = world.logs.at(-1)?.id ?? 0;
  let calls = -1;
  const tick = () => {
    if (Date.now() < world.away || !world.sessions.has(token)) return end();
    send('status', status(world));
    if (calls !== world.calls.length) send('calls', { count: (calls = world.calls.length) });
    for (const one of world.logs.filter(({ id }) => id > seen)) send('log', one);
    seen = world.logs.at(-1)?.id ?? seen;
  };
  const timer = setInterval(tick, 1000);
  const end = () => {
    clearInterval(timer);
    response.end();
  };
  request.on('close', end);
  tick();
}

function paged<T>(items: T[], query: URLSearchParams, text: (item: T) => string) {
  const wanted = (query.get('search') ?? '').toLowerCase();
  const found = wanted ? items.filter((item) => text(item).toLowerCase().includes(wanted)) : items;
  const offset = Number(query.get('offset') ?? 0);
  return { total: found.length, items: found.slice(offset, offset + Number(query.get('limit') ?? 50)) };
}

type Named = { id: string };
const everything = (item: unknown) => JSON.stringify(item);

function collection<T extends Named>(items: T[], call: Call_, fresh: (id: string) => T): T[] | T | undefined {
  const [, id] = call.path;
  if (!id) {
    if (call.method === 'GET') return items;
    const made = { ...fresh(`n${call.world.next++}`), ...(call.body as Partial<T>) };
    items.push(made);
    return made;
  }
  const place = items.findIndex((item) => item.id === id);
  if (place < 0) throw refuse(404, 'not_found');
  if (call.method === 'DELETE') return void items.splice(place, 1);
  if (call.method === 'PUT') items[place] = { ...items[place], ...(call.body as Partial<T>), id };
  return items[place];
}

function route(call: Call_): unknown {
  const { world, path, method, query, person } = call;
  const [what, id] = path;
  if (method !== 'GET' && what !== 'session') note(call);
  switch (what) {
    case 'session':
      return session(call);
    case 'status':
      return status(world);
    case 'accounts':
      return accounts(call);
    case 'registrations':
      if (method === 'DELETE') return void (world.registrations = world.registrations.filter((r) => r.id !== id));
      return paged(world.registrations, query, everything);
    case 'calls':
      if (method === 'DELETE') return void (world.calls = world.calls.filter((c) => c.id !== id));
      return world.calls;
    case 'records':
      return records(call);
    case 'rules':
      return rules(call);
    case 'trunks':
      return trunks(call);
    case 'groups':
      return collection<Group>(world.groups, call, (made) => ({
        id: made, name: '', number: '', members: [], strategy: 'all', ring_for: 20, fallback: '',
      }));
    case 'settings':
      if (method === 'PUT') Object.assign(world.settings, call.body, { fixed: world.settings.fixed });
      return world.settings;
    case 'logs': {
      const levels: LogLine['level'][] = ['error', 'warn', 'info', 'debug'];
      const most = levels.indexOf((query.get('level') ?? 'info') as LogLine['level']);
      return paged(world.logs.filter(({ level }) => levels.indexOf(level) <= most), query, (l) => `${l.message} ${l.call_id}`);
    }
    case 'audit':
      return paged(world.audit.toSorted((a, b) => b.time - a.time), query, everything);
    case 'administrators':
      return administrators(call);
    case 'blocks':
      if (method === 'DELETE') return void (world.blocks = world.blocks.filter((b) => b.address !== id));
      return world.blocks;
    case 'devices': {
      const answer = collection(world.devices, call, (made) => ({
        id: made, name: '', account: '', maker: 'sori', one_time: true, created: Date.now(), fetched: null,
      }));
      return method === 'POST' ? { ...(answer as object), url: `https://example.org/provision/${crypto.randomUUID()}` } : answer;
    }
    case 'server':
      world.away = Date.now() + (id === 'stop' ? 1e12 : 3000);
      world.started = world.away;
      line(world, 'warn', `${person.name} asked for a ${id}`);
      return {};
    default:
      throw refuse(404, 'not_found', `no such resource: ${path.join('/')}`);
  }
}

const VERBS: Record<string, string> = { POST: 'created', PUT: 'changed', DELETE: 'removed' };

function note({ world, person, path, method }: Call_) {
  const action = VERBS[method] ?? method;
  world.audit.push({ id: world.next++, time: Date.now(), who: person.name, from: '127.0.0.1', action, what: path.join(' ') });
  line(world, 'info', `${person.name} ${action} ${path.join('/')}`);
}

function session({ world, method, person, body, path }: Call_): unknown {
  if (method === 'GET') return sessionOf(person);
  if (method === 'DELETE') {
    for (const [token, name] of world.sessions) if (name === person.name) world.sessions.delete(token);
    return undefined;
  }
  const { old, new: next } = body as { old: string; new: string };
  if (path[1] !== 'password') throw refuse(404, 'not_found');
  if (old !== person.password) throw refuse(422, 'invalid', 'the old password is not right', 'old');
  if (next.length < 8) throw refuse(422, 'invalid', 'a password has 8 characters or more', 'new');
  person.password = next;
  person.mustChange = false;
  return undefined;
}

const HEADER = ['user', 'domain', 'display_name', 'password', 'aliases', 'enabled'];

function accounts({ world, method, path, query, body, text }: Call_): unknown {
  const [, address, action] = path;
  if (!address && method === 'GET') return paged(world.accounts, query, everything);
  if (!address) return create(world, body as AccountChange);
  if (address === 'import') return importAccounts(world, text, query.get('dry_run') === 'true');
  if (address === 'export') {
    const rows = world.accounts.map((a) => [a.user, a.domain, a.display_name, '', a.aliases.join(' '), String(a.enabled)]);
    return [HEADER, ...rows].map((row) => `${row.map(quoted).join(',')}\r\n`).join('');
  }
  const place = world.accounts.findIndex((a) => a.address === address);
  if (place < 0) throw refuse(404, 'not_found');
  if (action === 'password') {
    const given = (body as { password?: string }).password;
    return { account: world.accounts[place], password: given ? undefined : password() };
  }
  if (method === 'DELETE') return void world.accounts.splice(place, 1);
  if (method === 'PUT') {
    const { password: _password, ...rest } = body as AccountChange;
    world.accounts[place] = { ...world.accounts[place], ...rest, changed: Date.now() };
  }
  return world.accounts[place];
}

export function password(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((n) => 'abcdefghjkmnpqrstuvwxyz23456789'[n % 31]).join('');
}

function create(world: World, change: AccountChange) {
  const user = change.user ?? '';
  if (!/^[\w.+-]+$/.test(user)) throw refuse(422, 'invalid', `"${user}" is no user name`, 'user');
  if (world.accounts.some((a) => a.user === user)) throw refuse(409, 'exists', `${user}@${DOMAIN} exists already`, 'user');
  const { password: given, ...rest } = change;
  const made = { ...account(user), ...rest, user, domain: DOMAIN };
  world.accounts.push(made);
  return { account: made, password: given ? undefined : password() };
}

function records({ world, path, query }: Call_): unknown {
  const [from, to] = [Number(query.get('from') || 0), Number(query.get('to') || Infinity)];
  const outcome = query.get('outcome');
  const found = world.records.filter((r) => {
    const kind = r.answered ? 'answered' : r.status === 487 ? 'missed' : 'failed';
    return r.started >= from && r.started <= to && (!outcome || kind === outcome);
  });
  if (path[1] !== 'export') return paged(found, query, everything);
  const rows = found.map((r) => [new Date(r.started).toISOString(), r.caller, r.callee, String(r.duration), String(r.status)]);
  return [['started', 'caller', 'callee', 'duration', 'status'], ...rows].map((row) => `${row.map(quoted).join(',')}\r\n`).join('');
}

function rules(call: Call_): unknown {
  const { world, path, method, body } = call;
  if (path[1] === 'try') return tryRules(world, body as Try);
  if (path[1] === 'order') {
    const ids = body as string[];
    return void world.rules.sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
  }
  if (path[1] === 'document') {
    if (method === 'PUT') world.rules = body as Rule[];
    return world.rules;
  }
  return collection<Rule>(world.rules, call, (id) => ({ id }) as Rule);
}

function trunks(call: Call_): unknown {
  const before = call.body as Partial<Trunk> & { password?: string };
  const { password: given, ...rest } = before;
  const status = { state: 'unknown', detail: '', since: Date.now(), round_trip: null, calls: 0 };
  if (call.method === 'POST' && !rest.host) throw refuse(422, 'invalid', 'a trunk needs a host', 'host');
  const body = given ? { ...rest, has_password: true } : rest;
  return collection<Trunk>(call.world.trunks, { ...call, body }, (id) => ({ id, has_password: false, status }) as Trunk);
}

function administrators({ world, method, path, body }: Call_): unknown {
  const managers = world.people.filter(({ role }) => role !== 'user');
  const view = ({ name, role, lastSignedIn }: Person) => ({ name, role, last_signed_in: lastSignedIn });
  if (method === 'GET') return managers.map(view);
  const change = body as { name: string; role: Role; password?: string };
  if (method === 'POST') {
    if (!ORDER.includes(change.role)) throw refuse(422, 'invalid', '', 'role');
    if (world.people.some(({ name }) => name === change.name)) throw refuse(409, 'exists', '', 'name');
    world.people.push({ name: change.name, role: change.role, password: change.password ?? password(), mustChange: true, lastSignedIn: null });
    return undefined;
  }
  const known = world.people.find(({ name }) => name === path[1]);
  if (!known) throw refuse(404, 'not_found');
  if (method === 'DELETE') return void (world.people = world.people.filter((p) => p !== known));
  known.role = change.role;
  if (change.password) known.password = change.password;
  return view(known);
}
