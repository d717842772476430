import { untrack } from 'svelte';
import { api, problemFrom } from '../api/client';
import type { Page, Problem } from '../api/types';
import { router } from './router.svelte';
import { session } from './session.svelte';

type Filters = Record<string, string>;

/** A list of the server: whole (an array) or in pages. */
export class List<T> {
  items = $state.raw<T[]>([]);
  total = $state(0);
  loading = $state(true);
  problem = $state.raw<Problem | null>(null);
  search = $state('');
  offset = $state(0);
  filters = $state<Filters>({});
  readonly limit = 50;
  #last = 0;

  constructor(
    readonly path: string,
    filters?: Filters,
  ) {
    const query = router.query;
    this.search = query.get('search') ?? '';
    this.offset = Number(query.get('offset')) || 0;
    for (const [name, value] of Object.entries(filters ?? {})) this.filters[name] = query.get(name) ?? value;
  }

  /** What the server is asked for, apart from the page. */
  get asked(): Filters {
    return { search: this.search.trim(), ...this.filters };
  }

  /** Loads now and, in an effect, whenever what is asked for changes. */
  async load(ask: Filters = this.asked) {
    const turn = ++this.#last;
    const offset = this.offset;
    untrack(() => (this.loading = true));
    try {
      const answer = await api.get<Page<T> | T[]>(this.path, { ...ask, offset, limit: this.limit });
      if (turn !== this.#last) return;
      this.items = Array.isArray(answer) ? answer : answer.items;
      this.total = Array.isArray(answer) ? answer.length : answer.total;
      this.problem = null;
      if (this.items.length === 0 && offset > 0 && this.total > 0) this.offset = 0;
    } catch (error) {
      if (turn === this.#last) this.problem = problemFrom(error);
    } finally {
      if (turn === this.#last) this.loading = false;
    }
  }

  /** What stands in the address of the page. */
  get remembered(): Filters {
    return this.asked;
  }

  remember() {
    router.keep({ ...this.remembered, offset: this.offset });
  }
}

/** Calls at once and then every so many seconds while the page is looked at. Use inside an effect. */
export function repeat(seconds: number, work: () => void): () => void {
  untrack(work);
  const wanted = () => document.visibilityState === 'visible' && !session.expired;
  const timer = setInterval(() => wanted() && work(), seconds * 1000);
  return () => clearInterval(timer);
}
