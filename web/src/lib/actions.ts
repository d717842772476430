import { api, problemFrom } from '../api/client';
import type { Problem } from '../api/types';
import { i18n, lookup } from '../i18n/index.svelte';
import { messages } from './messages.svelte';

export function explain(problem: Problem): string {
  const text = lookup(i18n.t.problems, problem.code);
  return problem.message ? `${text} (${problem.message})` : text;
}

/** Does it and says what went wrong, if something did. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    messages.say(explain(problemFrom(error)), 'bad');
    return undefined;
  }
}

export interface Removal {
  path: string;
  title: string;
  text: string;
  action: string;
  /** What is said afterwards. */
  done: string;
}

/** Asks, removes, says so. Answers whether it was done. */
export async function removeAfterAsking({ path, title, text, action, done }: Removal): Promise<boolean> {
  if (!(await messages.ask({ title, text, action, danger: true }))) return false;
  return attempt(async () => {
    await api.remove(path);
    messages.say(done);
    return true;
  }).then((yes) => yes === true);
}

export function removal(path: string, name: string, text: string): Removal {
  const { common } = i18n.t;
  return { path, title: common.removeTitle(name), text, action: common.remove, done: common.removed(name) };
}

export async function copy(text: string) {
  await attempt(async () => {
    await navigator.clipboard.writeText(text);
    messages.say(i18n.t.common.copied);
  });
}

export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

export function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** Letters and digits that are not mistaken for one another. */
export function randomPassword(): string {
  const letters = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
  const numbers = crypto.getRandomValues(new Uint32Array(20));
  return [...numbers].map((n) => letters[n % letters.length]).join('');
}
