import type { LogLine, Status } from './types';

const HISTORY = 120;

export interface Sample {
  requests: number;
  calls: number;
  registered: number;
  load: number;
  memory: number;
}

/** The stream of server-sent events, kept open while somebody is signed in. */
class Live {
  status = $state.raw<Status | null>(null);
  history = $state.raw<Sample[]>([]);
  callCount = $state<number | null>(null);
  /** null before the first answer. */
  connected = $state<boolean | null>(null);
  /** Counts the restarts of the server that were seen. */
  restarts = $state(0);
  /** The server was asked to end: losing it is no fault. */
  leaving = $state<'stop' | 'restart' | null>(null);

  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tries = 0;
  #logs = new Set<(line: LogLine) => void>();
  #probe: () => Promise<unknown> = async () => {};

  /** `probe` asks for the session: it tells a lost connection from an ended session. */
  start(probe: () => Promise<unknown>) {
    this.#probe = probe;
    if (!this.#source) this.#open();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.connected = null;
    this.leaving = null;
    this.status = null;
    this.history = [];
    this.callCount = null;
  }

  onLog(listener: (line: LogLine) => void): () => void {
    this.#logs.add(listener);
    return () => this.#logs.delete(listener);
  }

  accept(status: Status) {
    if (this.status && this.status.started !== status.started) {
      this.restarts++;
      this.history = [];
      this.leaving = null;
    }
    this.status = status;
    this.history = [
      ...this.history.slice(1 - HISTORY),
      {
        requests: status.requests_per_second,
        calls: status.calls,
        registered: status.registered_users,
        load: status.load,
        memory: status.memory,
      },
    ];
  }

  #open() {
    const source = new EventSource('/api/live');
    this.#source = source;
    source.onopen = () => {
      this.connected = true;
      this.#tries = 0;
    };
    source.onerror = () => {
      this.connected = false;
      source.close();
      if (this.#source !== source) return;
      const wait = Math.min(1000 * 2 ** this.#tries++, 10_000);
      this.#timer = setTimeout(() => this.#again(), wait);
    };
    source.addEventListener('status', (event) => this.accept(JSON.parse(event.data) as Status));
    source.addEventListener('calls', (event) => {
      this.callCount = (JSON.parse(event.data) as { count: number }).count;
    });
    source.addEventListener('log', (event) => {
      const line = JSON.parse(event.data) as LogLine;
      for (const listener of this.#logs) listener(line);
    });
  }

  async #again() {
    const before = this.#source;
    await this.#probe().catch(() => {});
    if (before && this.#source === before) this.#open();
  }
}

export const live = new Live();
