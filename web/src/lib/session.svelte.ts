import { ApiError, api, whenSignedOut } from '../api/client';
import { live } from '../api/live.svelte';
import type { Login, Session } from '../api/types';

/** What not everybody may do who sees the page. */
export type Right = 'settings' | 'administrators' | 'server';

class SignedIn {
  current = $state.raw<Session | null>(null);
  /** Whether it is known if somebody is signed in. */
  known = $state(false);
  /** The session ended by itself: the page stays as it is, and asks for the password again. */
  expired = $state(false);
  /** Requests that wait for that. */
  #waiting: ((again: boolean) => void)[] = [];

  constructor() {
    whenSignedOut(() => {
      if (!this.current) return Promise.resolve(false);
      this.expired = true;
      live.stop();
      return new Promise((resolve) => this.#waiting.push(resolve));
    });
  }

  /** Operators do the daily work; the server holds to the same. */
  may(_right: Right): boolean {
    return this.current?.role === 'administrator';
  }

  async ask() {
    try {
      this.#set(await api.get<Session>('session'));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      this.#set(null);
    }
  }

  async signIn(login: Login) {
    const before = this.current?.name;
    const session = await api.post<Session>('session', login);
    this.#set(session);
    this.#goOn(session.name === before);
  }

  /** Goes to the sign-in page instead of signing in again. */
  leave() {
    this.#set(null);
    this.#goOn(false);
  }

  async signOut() {
    await api.remove('session');
    this.#set(null);
  }

  async changePassword(old: string, next: string) {
    await api.put('session/password', { old, new: next });
    if (this.current) this.#set({ ...this.current, must_change_password: false });
  }

  #goOn(again: boolean) {
    for (const go of this.#waiting.splice(0)) go(again);
  }

  #set(session: Session | null) {
    this.expired = false;
    this.current = session;
    this.known = true;
    if (session && !session.must_change_password && session.role !== 'user') live.start(() => this.ask());
    else live.stop();
  }
}

export const session = new SignedIn();
