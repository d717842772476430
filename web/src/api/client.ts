import type { Problem } from './types';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    /** Seconds to wait before the next try. */
    readonly retryAfter: number | null = null,
  ) {
    super(problem.message);
  }
}

type Query = Record<string, string | number | boolean | null | undefined>;

let signInAgain: () => Promise<boolean> = async () => false;

/** What is done when the server no longer knows this session; true when the request may be sent once more. */
export function whenSignedOut(action: () => Promise<boolean>) {
  signInAgain = action;
}

export function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== '' && value !== null && value !== undefined) params.set(name, String(value));
  }
  const text = params.toString();
  return `/api/${path}${text && `?${text}`}`;
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const body = (await answer.json()) as Partial<Problem>;
    if (typeof body.code === 'string') return { message: '', ...body, code: body.code };
  } catch {
    // A proxy in between answers with something else than JSON.
  }
  return { code: answer.status >= 500 ? 'unavailable' : 'unknown', message: `HTTP ${answer.status}` };
}

async function send(method: string, path: string, query?: Query, body?: BodyInit, type?: string): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(address(path, query), {
      method,
      body,
      credentials: 'same-origin',
      cache: 'no-store',
      headers: type ? { 'Content-Type': type } : {},
    });
  } catch {
    throw new ApiError(0, { code: 'no_connection', message: '' });
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status === 401 && problem.code !== 'wrong_credentials' && (await signInAgain())) {
    return send(method, path, query, body, type);
  }
  const wait = Number.parseInt(answer.headers.get('Retry-After') ?? '', 10);
  throw new ApiError(answer.status, problem, Number.isNaN(wait) ? null : wait);
}

async function json<T>(method: string, path: string, query?: Query, body?: BodyInit, type?: string): Promise<T> {
  const answer = await send(method, path, query, body, type);
  const text = await answer.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

function withBody<T>(method: string, path: string, value?: unknown): Promise<T> {
  return value === undefined
    ? json<T>(method, path)
    : json<T>(method, path, undefined, JSON.stringify(value), 'application/json');
}

export const api = {
  get: <T>(path: string, query?: Query) => json<T>('GET', path, query),
  post: <T = void>(path: string, value?: unknown) => withBody<T>('POST', path, value),
  put: <T = void>(path: string, value: unknown) => withBody<T>('PUT', path, value),
  remove: (path: string) => json<void>('DELETE', path),
  upload: <T>(path: string, query: Query, text: string) => json<T>('POST', path, query, text, 'text/csv'),
};

/** A path of literal and escaped parts: at`accounts/${address}`. */
export function at(parts: TemplateStringsArray, ...values: string[]): string {
  return parts.reduce((path, part, i) => path + encodeURIComponent(values[i - 1] ?? '') + part);
}

export function problemFrom(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  return { code: 'unknown', message: error instanceof Error ? error.message : String(error) };
}
