import type {
  Account,
  AuditEntry,
  Block,
  Call,
  Device,
  Group,
  LogLine,
  Notice,
  Record_,
  Registration,
  Role,
  Rule,
  Settings,
  Trunk,
} from '../src/api/types';

export interface Person {
  name: string;
  role: Role;
  password: string;
  mustChange: boolean;
  lastSignedIn: number | null;
}

export interface World {
  started: number;
  people: Person[];
  sessions: Map<string, string>;
  failures: number;
  accounts: Account[];
  registrations: Registration[];
  calls: Call[];
  records: Record_[];
  rules: Rule[];
  trunks: Trunk[];
  groups: Group[];
  devices: Device[];
  blocks: Block[];
  audit: AuditEntry[];
  logs: LogLine[];
  notices: Notice[];
  settings: Settings;
  /** Until then nobody is answered: it restarts. */
  away: number;
  next: number;
}

export const DOMAIN = 'example.org';
const MINUTE = 60_000;
const DAY = 86_400_000;

export function account(user: string, name = '', now = Date.now()): Account {
  return {
    address: `${user}@${DOMAIN}`,
    user,
    domain: DOMAIN,
    display_name: name,
    enabled: true,
    aliases: [],
    forwards: { always: '', busy: '', no_answer: '', no_answer_after: 20, unregistered: '' },
    trunks: null,
    registered: 0,
    created: now,
    changed: now,
  };
}

function settings(): Settings {
  return {
    authentication: { register: true, invite: true },
    redirect: false,
    registration: { minimum: 60, default: 600, maximum: 7200 },
    relay: 'auto',
    limits: { requests_per_source: 200, calls_per_account: 4, wrong_passwords: 10, block_for: 600 },
    keep_records: 365,
    country: 'KR',
    fixed: {
      domains: [DOMAIN],
      listen: ['udp 192.0.2.10:5060', 'tcp 192.0.2.10:5060', 'tls 192.0.2.10:5061'],
      http: '127.0.0.1:8080',
      data: '/var/lib/sori',
      advertise: '',
      media_ports: '20000-29999',
      certificate: '/etc/sori/cert.pem',
      workers: 4,
    },
  };
}

export function empty(): World {
  return {
    started: Date.now() - 40_000,
    people: [{ name: 'admin', role: 'administrator', password: 'first', mustChange: true, lastSignedIn: null }],
    sessions: new Map(),
    failures: 0,
    accounts: [],
    registrations: [],
    calls: [],
    records: [],
    rules: [],
    trunks: [],
    groups: [],
    devices: [],
    blocks: [],
    audit: [],
    logs: [],
    notices: [
      { level: 'info', code: 'no_accounts', values: {} },
      { level: 'warning', code: 'no_tls', values: {} },
      { level: 'warning', code: 'loopback_only', values: { address: '127.0.0.1:5060' } },
    ],
    settings: settings(),
    away: 0,
    next: 1,
  };
}

/** A name that would do harm on a page that trusts it. */
const HOSTILE = '<img src=x onerror="document.title=1"><script>alert(1)</script>';

const NAMES = [
  'Alice Adams',
  '김민수',
  'Carla Bruni-Schmidt of the accounting department, second floor',
  '이서연',
  HOSTILE,
  '=HYPERLINK("http://evil.example","x")',
  'Grace Hopper',
  '박지훈',
];

function trunk(id: string, name: string, host: string, status: Partial<Trunk['status']>): Trunk {
  return {
    id,
    name,
    enabled: status.state !== 'disabled',
    host,
    port: null,
    transport: 'udp',
    register: status.state === 'registered' || status.state === 'refused',
    username: 'company',
    has_password: true,
    domain: '',
    sources: [],
    caller_id: { mode: 'keep', number: '' },
    max_calls: 30,
    check_every: 30,
    weight: 1,
    incoming: '1001',
    status: { state: 'unknown', detail: '', since: Date.now() - 3 * 60 * MINUTE, round_trip: null, calls: 0, ...status },
  };
}

function rule(id: string, name: string, number: string, action: Rule['action'], more: Partial<Rule> = {}): Rule {
  return {
    id,
    name,
    enabled: true,
    match: { number, caller: '', domain: '', methods: [], trunk: '', internal: false },
    rewrite: { strip: 0, prefix: '', suffix: '', replace: '', country: '' },
    action,
    ...more,
  };
}

function accounts(now: number): Account[] {
  return Array.from({ length: 64 }, (_, i) => ({
    ...account(String(1001 + i), NAMES[i] ?? (i % 3 ? `Desk ${1001 + i}` : ''), now - (64 - i) * DAY),
    aliases: i === 0 ? ['alice', '+8225550101'] : [],
    registered: i % 4 === 3 ? 0 : 1 + (i % 7 === 0 ? 1 : 0),
    enabled: i !== 9,
    forwards: {
      always: '',
      busy: i === 1 ? '1003' : '',
      no_answer: i === 1 ? '+821055501234' : '',
      no_answer_after: 20,
      unregistered: '',
    },
  }));
}

function registrations(all: Account[], now: number): Registration[] {
  const agents = ['Yealink SIP-T54W 96.86.0.70', 'sori/0.4', 'Linphone/5.2.5 (belle-sip/5.3.0)', 'baresip v3.5.0'];
  return all
    .filter(({ registered }) => registered)
    .map((a, i) => ({
      id: `r${i}`,
      address: a.address,
      contact: `sip:${a.user}@10.0.${i % 4}.${20 + i};transport=${i % 3 ? 'udp' : 'tls'}`,
      transport: i % 3 ? 'udp' : 'tls',
      source: `${i % 5 === 0 ? '198.51.100.7' : `10.0.${i % 4}.${20 + i}`}:${5060 + i}`,
      user_agent: agents[i % agents.length],
      registered: now - i * 7 * MINUTE,
      expires: now + (600 - i * 5) * 1000,
      behind_nat: i % 5 === 0,
    }));
}

function call(i: number, caller: string, callee: string, state: Call['state'], now: number, more: Partial<Call> = {}): Call {
  return {
    id: `c${i}`,
    call_id: `${1000 + i}f3a9-call@10.0.0.${i}`,
    caller,
    callee,
    state,
    started: now - i * 41_000,
    answered: state === 'answered' ? now - i * 37_000 : null,
    codecs: state === 'answered' ? ['opus', 'telephone-event'] : [],
    media: 'direct',
    trunk: null,
    caller_address: `10.0.0.${20 + i}:5060`,
    callee_address: `10.0.1.${20 + i}:5060`,
    ...more,
  };
}

function records(now: number): Record_[] {
  const ends: [number, string][] = [[200, 'OK'], [200, 'OK'], [487, 'Request Terminated'], [486, 'Busy Here'], [503, 'Service Unavailable']];
  return Array.from({ length: 180 }, (_, i) => {
    const [status, reason] = ends[i % ends.length];
    const started = now - i * 23 * MINUTE - 300_000;
    const answered = status === 200 ? started + 6000 : null;
    const duration = answered ? 20 + ((i * 37) % 900) : 0;
    return {
      id: `d${i}`,
      call_id: `${i}b71c2e-record@10.0.0.${i % 200}`,
      caller: `${1001 + (i % 64)}@${DOMAIN}`,
      callee: i % 3 ? `${1001 + ((i * 7) % 64)}@${DOMAIN}` : `+8225550${String(100 + i)}`,
      started,
      answered,
      ended: (answered ?? started) + duration * 1000 + 9000,
      duration,
      status,
      reason,
      ended_by: (['caller', 'callee', 'server'] as const)[i % 3],
      trunk: i % 3 ? null : 't1',
      codecs: answered ? ['PCMA'] : [],
    };
  });
}

export function line(world: World, level: LogLine['level'], message: string, call_id: string | null = null): LogLine {
  const made = { id: world.next++, time: Date.now(), level, message, call_id };
  world.logs = [...world.logs, made].slice(-2000);
  return made;
}

function history(world: World) {
  line(world, 'info', 'listening on udp 192.0.2.10:5060');
  line(world, 'info', 'listening on tls 192.0.2.10:5061');
  line(world, 'warn', '198.51.100.66 tried 12 unknown users and is blocked for 600 seconds');
  line(world, 'error', 'trunk Backup does not answer OPTIONS: connection refused');
  line(world, 'info', `1005@example.org registered as ${HOSTILE}`);
  for (let i = 0; i < 40; i++) line(world, i % 9 ? 'info' : 'debug', `INVITE 1001 -> 10${10 + i}: 200 OK`, `${i}b71c2e-record@10.0.0.${i}`);
}

export function full(): World {
  const now = Date.now();
  const world = empty();
  world.started = now - 3 * DAY - 4 * 60 * MINUTE;
  world.people = [
    { name: 'admin', role: 'administrator', password: 'admin', mustChange: false, lastSignedIn: now - MINUTE },
    { name: 'jane', role: 'administrator', password: 'jane', mustChange: true, lastSignedIn: null },
    { name: 'operator', role: 'operator', password: 'operator', mustChange: false, lastSignedIn: now - DAY },
    { name: `1001@${DOMAIN}`, role: 'user', password: '1001', mustChange: false, lastSignedIn: null },
  ];
  world.accounts = accounts(now);
  world.registrations = registrations(world.accounts, now);
  world.calls = [
    call(1, `1001@${DOMAIN}`, `1004@${DOMAIN}`, 'answered', now),
    call(2, `1002@${DOMAIN}`, '+82255501234', 'ringing', now, { trunk: 't1', media: 'server' }),
    call(3, '+821055501234', `1007@${DOMAIN}`, 'answered', now, { trunk: 't1', media: 'relay', codecs: ['PCMA'] }),
    call(4, `1020@${DOMAIN}`, `1031@${DOMAIN}`, 'calling', now),
  ];
  world.records = records(now);
  world.trunks = [
    trunk('t1', 'Seoul Telecom', 'sip.seoultel.example', { state: 'registered', round_trip: 11.4, calls: 2 }),
    trunk('t2', 'Backup', '203.0.113.5', { state: 'unreachable', detail: 'No answer to OPTIONS for 90 seconds.' }),
    trunk('t3', 'Old gateway', 'gw.old.example', { state: 'disabled' }),
  ];
  world.rules = [
    rule('u1', 'Emergency', '/^(112|119)$/', { kind: 'trunks', trunks: ['t1', 't2'], mode: 'in_order' }),
    rule('u2', 'No premium numbers', '060.', { kind: 'reject', status: 403, reason: 'Not allowed' }),
    rule('u3', 'Outside line', '9.', { kind: 'continue' }, { rewrite: { strip: 1, prefix: '', suffix: '', replace: '', country: 'KR' } }),
    rule('u4', 'Everything with +', '+.', { kind: 'trunks', trunks: ['t1', 't2'], mode: 'shared' }),
    rule('u5', 'Partner', '77XX', { kind: 'domain', domain: 'partner.example' }, { enabled: false }),
  ];
  world.groups = [
    { id: 'g1', name: 'Reception', number: '2000', members: ['1001', '1002', '1003'], strategy: 'in_turn', ring_for: 15, fallback: '1004' },
    { id: 'g2', name: 'Support', number: '2001', members: ['1010', '1011', '1012', '1013'], strategy: 'longest_idle', ring_for: 20, fallback: '' },
  ];
  world.devices = [
    { id: 'v1', name: 'Reception', account: `1001@${DOMAIN}`, maker: 'yealink', one_time: false, created: now - 9 * DAY, fetched: now - DAY },
    { id: 'v2', name: 'Meeting room', account: `1030@${DOMAIN}`, maker: 'snom', one_time: true, created: now - DAY, fetched: null },
  ];
  world.blocks = [
    { address: '198.51.100.66', user: '', since: now - 4 * MINUTE, until: now + 6 * MINUTE, reason: 'unknown_users', tries: 12 },
    { address: '2001:db8::bad', user: '1004@example.org', since: now - MINUTE, until: now + 9 * MINUTE, reason: 'wrong_passwords', tries: 31 },
  ];
  const actions = ['signed_in', 'created', 'changed', 'removed', 'imported', 'sign_in_failed', 'hung_up'];
  world.audit = Array.from({ length: 70 }, (_, i) => ({
    id: i + 1,
    time: now - i * 47 * MINUTE,
    who: i % 3 ? 'admin' : 'operator',
    from: '192.0.2.77',
    action: actions[i % actions.length],
    what: i % 7 === 0 || i % 7 === 5 ? '' : i % 7 === 4 ? '50 accounts' : `account ${1001 + i}@${DOMAIN}`,
  }));
  world.notices = [
    { level: 'warning', code: 'trunk_unreachable', values: { trunk: 'Backup', detail: 'No answer to OPTIONS for 90 seconds.' } },
    { level: 'info', code: 'certificate_expires', values: { days: '12', path: '/etc/sori/cert.pem' } },
  ];
  history(world);
  return world;
}
