/** Where in the console one is: #/page?search=text. */
class Router {
  page = $state('');
  query = $state.raw(new URLSearchParams());
  /** Counts the ways gone, so that the same page can be opened anew. */
  visits = $state(0);

  constructor() {
    this.#read();
    addEventListener('hashchange', () => this.#read());
  }

  #read() {
    const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
    this.page = path || 'status';
    this.query = new URLSearchParams(query);
    this.visits++;
  }

  /** Writes the query into the address without a new entry in the history. */
  keep(values: Record<string, string | number>) {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) if (value) params.set(name, String(value));
    const text = params.toString();
    history.replaceState(null, '', `#/${this.page}${text && `?${text}`}`);
  }
}

export const router = new Router();
