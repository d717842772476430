// What the HTTP API of `sori serve` says and takes. Times are milliseconds since 1970, durations are seconds.

/** Who works here, from the most to the least that they may do. */
export type Role = 'administrator' | 'operator' | 'user';

/** GET, POST /api/session */
export interface Session {
  /** Name of the administrator or operator, or the address of the account. */
  name: string;
  role: Role;
  /** The first password was made by the server and has to be changed. */
  must_change_password: boolean;
}
/** POST /api/session (204 by DELETE; 401 with code "wrong_credentials", 429 with Retry-After). */
export interface Login {
  name: string;
  password: string;
}
/** PUT /api/session/password */
export interface PasswordChange {
  old: string;
  new: string;
}

/** The body of every answer of class 4xx and 5xx. */
export interface Problem {
  /** For programs and translations: "invalid", "not_found", "exists", "forbidden", "not_signed_in", "wrong_credentials", "too_many_tries", "unavailable". */
  code: string;
  /** For people, in English. */
  message: string;
  /** The member of the request that is wrong, as a dotted path. */
  field?: string;
}

/** Answers that come in pages: ?offset=0&limit=50&search=text. */
export interface Page<T> {
  total: number;
  items: T[];
}

/** GET /api/status; the same object comes every second as event "status" of GET /api/live (server-sent events). */
export interface Status {
  version: string;
  started: number;
  now: number;
  domains: string[];
  listeners: Listener[];
  accounts: number;
  registered_users: number;
  registrations: number;
  calls: number;
  /** Per second, over the last five seconds. */
  requests_per_second: number;
  responses_per_second: number;
  calls_per_second: number;
  /** Since the start. */
  requests: number;
  responses: number;
  malformed: number;
  retransmissions: number;
  calls_proxied: number;
  /** Share of the processors this process used in the last second, 0 to 1. */
  load: number;
  /** Resident memory in bytes. */
  memory: number;
  trunks: { total: number; reachable: number };
  blocked_sources: number;
  notices: Notice[];
}
export interface Listener {
  /** "udp" | "tcp" | "tls" | "ws" | "wss" | "http" | "https" */
  transport: string;
  address: string;
}
/** Something that is not right, and what to do: the page has a text for every code, with {name} filled from values. */
export interface Notice {
  level: 'error' | 'warning' | 'info';
  /** "no_accounts", "first_password", "loopback_only", "private_address", "no_tls", "certificate_expires",
   *  "trunk_unreachable", "trunk_refused", "clock_jumped", "disk_low", "open_relay", "restart_needed". */
  code: string;
  values: Record<string, string>;
}

/** GET /api/accounts, POST /api/accounts, GET PUT DELETE /api/accounts/{address} */
export interface Account {
  /** user@domain */
  address: string;
  user: string;
  domain: string;
  display_name: string;
  enabled: boolean;
  /** Other names or numbers that mean this account, in its domain. */
  aliases: string[];
  forwards: Forwards;
  /** Identifiers of the trunks that it may call through; null for all. */
  trunks: string[] | null;
  /** Number of phones that are registered now. */
  registered: number;
  created: number;
  changed: number;
}
export interface Forwards {
  /** Addresses or numbers; empty for none. */
  always: string;
  busy: string;
  no_answer: string;
  /** Seconds of ringing before no_answer. */
  no_answer_after: number;
  unregistered: string;
}
/** POST and PUT take this; what is left out stays, or takes its default. */
export interface AccountChange {
  user?: string;
  domain?: string;
  display_name?: string;
  enabled?: boolean;
  aliases?: string[];
  forwards?: Forwards;
  trunks?: string[] | null;
  /** When a new account has none, the server makes one and answers it once. */
  password?: string;
}
/** The answer to POST /api/accounts and to POST /api/accounts/{address}/password (which takes {password?}). */
export interface NewAccount {
  account: Account;
  /** Only when the server made it. */
  password?: string;
}
/** POST /api/accounts/import?dry_run=true|false, body text/csv with the header
 *  user,domain,display_name,password,aliases,enabled (aliases separated by spaces; user alone is required).
 *  GET /api/accounts/export answers the same columns, password empty. */
export interface Imported {
  created: number;
  changed: number;
  errors: { line: number; column: string; message: string }[];
  /** Passwords that the server made, only when dry_run is false. */
  passwords: { address: string; password: string }[];
}

/** GET /api/registrations; DELETE /api/registrations/{id} */
export interface Registration {
  id: string;
  address: string;
  contact: string;
  transport: string;
  /** Address and port that the phone was seen at. */
  source: string;
  user_agent: string;
  registered: number;
  expires: number;
  /** The phone sits behind an address translator. */
  behind_nat: boolean;
}

/** GET /api/calls (event "calls" of /api/live has {count}); DELETE /api/calls/{id} hangs up */
export interface Call {
  id: string;
  call_id: string;
  caller: string;
  callee: string;
  state: 'calling' | 'ringing' | 'answered';
  started: number;
  answered: number | null;
  codecs: string[];
  /** "direct" | "relay" | "server" */
  media: string;
  trunk: string | null;
  caller_address: string;
  callee_address: string;
}

/** GET /api/records?from=&to=&search=&outcome=answered|failed|missed&offset=&limit=; GET /api/records/export (text/csv, same filters) */
export interface Record_ {
  id: string;
  call_id: string;
  caller: string;
  callee: string;
  started: number;
  answered: number | null;
  ended: number;
  /** Talking time. */
  duration: number;
  status: number;
  reason: string;
  ended_by: 'caller' | 'callee' | 'server' | '';
  trunk: string | null;
  codecs: string[];
}

/** GET /api/rules (in order), POST, PUT DELETE /api/rules/{id}; PUT /api/rules/order takes the identifiers in their new order;
 *  GET /api/rules/document and PUT /api/rules/document export and import all (Rule[]). */
export interface Rule {
  id: string;
  name: string;
  enabled: boolean;
  match: {
    /** Patterns: digits and letters as they are, X a digit, N 2-9, Z 1-9, . one or more of anything, ! none or more;
     *  or /regular expression/. Empty matches everything. */
    number: string;
    caller: string;
    domain: string;
    /** Empty for all. */
    methods: string[];
    /** Identifier of the trunk that it came from, "*" for any trunk, empty for everybody. */
    trunk: string;
    /** The rule is also for numbers and names of this server (accounts, aliases, groups, services), which otherwise
     *  come before all rules. */
    internal: boolean;
  };
  rewrite: {
    /** Digits to take off in front. */
    strip: number;
    prefix: string;
    suffix: string;
    /** For /regular expressions/: the new number with $1 … ; empty to leave it. */
    replace: string;
    /** "+8225550100" and the like, written as E.164 with this country; "" leaves it. ISO code such as "KR". */
    country: string;
  };
  action:
    | { kind: 'accounts' }
    | { kind: 'trunks'; trunks: string[]; mode: 'in_order' | 'shared' }
    | { kind: 'domain'; domain: string }
    | { kind: 'reject'; status: number; reason: string }
    | { kind: 'continue' };
}
/** POST /api/rules/try */
export interface Try {
  caller: string;
  number: string;
  method: string;
  trunk: string;
}
export interface Tried {
  steps: { rule: string; name: string; matched: boolean; why: string }[];
  /** The number after all rewriting. */
  number: string;
  /** What happens, in English: "rings 2 phones of alice@example.org", "goes to trunk Seoul". */
  outcome: string;
  /** For programs: "account" | "group" | "service" | "trunks" | "domain" | "reject" | "nobody" */
  kind: string;
  targets: string[];
}

/** GET /api/trunks, POST, GET PUT DELETE /api/trunks/{id} */
export interface Trunk {
  id: string;
  name: string;
  enabled: boolean;
  /** Host name or address of the gateway or provider. */
  host: string;
  port: number | null;
  transport: 'udp' | 'tcp' | 'tls';
  /** Register there (true) or be known by address (false). */
  register: boolean;
  username: string;
  /** Written only; answers leave it out and say has_password. */
  password?: string;
  has_password: boolean;
  /** Domain that it puts after @; empty for host. */
  domain: string;
  /** Addresses or networks its calls come from, beside those of host. */
  sources: string[];
  /** What number calls show: "keep" the caller's, or "fixed". */
  caller_id: { mode: 'keep' | 'fixed'; number: string };
  /** Calls at once; 0 for no limit. */
  max_calls: number;
  /** Seconds between OPTIONS; 0 for none. */
  check_every: number;
  /** Share of the calls among trunks of a rule that shares. */
  weight: number;
  /** Where its calls go that ring no account and match no rule: an address or number; empty refuses. */
  incoming: string;
  status: {
    /** "unknown" | "reachable" | "unreachable" | "registered" | "refused" | "disabled" */
    state: string;
    /** Why, for people. */
    detail: string;
    since: number;
    /** Milliseconds of the last answer to OPTIONS. */
    round_trip: number | null;
    calls: number;
  };
}

/** GET /api/groups, POST, PUT DELETE /api/groups/{id}: hunting groups of a call centre. */
export interface Group {
  id: string;
  name: string;
  /** User part or number that calls it. */
  number: string;
  /** Addresses, users or numbers. */
  members: string[];
  strategy: 'all' | 'in_turn' | 'longest_idle';
  /** Seconds that each try rings. */
  ring_for: number;
  /** Where the call goes when nobody answers; empty for nowhere. */
  fallback: string;
}

/** GET PUT /api/settings. PUT takes any of the members. */
export interface Settings {
  authentication: { register: boolean; invite: boolean };
  redirect: boolean;
  registration: { minimum: number; default: number; maximum: number };
  /** "auto" relays when one side is behind NAT, "always", "never". */
  relay: 'auto' | 'always' | 'never';
  limits: {
    /** Requests a second of one source; 0 for no limit. */
    requests_per_source: number;
    calls_per_account: number;
    /** Wrong passwords of one source until it is blocked. */
    wrong_passwords: number;
    /** Seconds that it stays blocked. */
    block_for: number;
  };
  /** Days that call records are kept; 0 for ever. */
  keep_records: number;
  /** ISO code of the country for telephone numbers, such as "KR". */
  country: string;
  /** Set where the server was started (command line or file), shown here: changing them needs a restart. */
  fixed: {
    domains: string[];
    listen: string[];
    http: string;
    data: string;
    advertise: string;
    media_ports: string;
    certificate: string;
    workers: number;
  };
}

/** GET /api/logs?level=info&search=&after=<id>&limit=; event "log" of /api/live */
export interface LogLine {
  id: number;
  time: number;
  level: 'error' | 'warn' | 'info' | 'debug';
  message: string;
  call_id: string | null;
}

/** GET /api/audit (paged) */
export interface AuditEntry {
  id: number;
  time: number;
  who: string;
  from: string;
  /** "signed_in", "sign_in_failed", "created", "changed", "removed", "hung_up", "restarted", "stopped", "imported", "exported" … */
  action: string;
  /** "account alice@example.org" */
  what: string;
}

/** GET /api/administrators, POST {name, role, password?}, PUT DELETE /api/administrators/{name} */
export interface Administrator {
  name: string;
  role: 'administrator' | 'operator';
  last_signed_in: number | null;
}

/** GET /api/blocks; DELETE /api/blocks/{address} */
export interface Block {
  address: string;
  /** The account that alone is shut out there; empty when it is the whole source. */
  user: string;
  since: number;
  until: number;
  /** "wrong_passwords" | "unknown_users" | "too_many_requests" | "malformed" */
  reason: string;
  tries: number;
}

/** GET /api/devices, POST, DELETE /api/devices/{id}: phones that fetch their settings. */
export interface Device {
  id: string;
  name: string;
  account: string;
  /** "sori" | "linphone" | "yealink" | "grandstream" | "snom" | "polycom" */
  maker: string;
  /** Whether the token works once or always. */
  one_time: boolean;
  created: number;
  fetched: number | null;
  /** Only in the answer to POST: where the phone fetches. */
  url?: string;
}
/** POST /api/server/restart, POST /api/server/stop: 202. */
