import { getContext, setContext, tick } from 'svelte';
import { SvelteSet } from 'svelte/reactivity';
import { problemFrom } from '../api/client';
import type { Problem } from '../api/types';

const KEY = Symbol('form');

/** One thing that is sent: whether it is under way, and what was wrong with it. */
export class Form {
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);
  #fields = new SvelteSet<string>();

  /** Names of members for which a field is on the page. */
  register(name: string): () => void {
    this.#fields.add(name);
    return () => void this.#fields.delete(name);
  }

  concerns(name: string): boolean {
    const field = this.problem?.field;
    return !!field && (field === name || field.startsWith(`${name}.`));
  }

  /** The problem, when no field of this form shows it. */
  get unplaced(): Problem | null {
    if (!this.problem) return null;
    return [...this.#fields].some((name) => this.concerns(name)) ? null : this.problem;
  }

  /** Answers undefined when it went wrong; then `problem` says why. */
  async run<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.busy) return undefined;
    this.busy = true;
    this.problem = null;
    try {
      return await work();
    } catch (error) {
      await this.fail(problemFrom(error));
      return undefined;
    } finally {
      this.busy = false;
    }
  }

  /** A handler for the event "submit": looks at the fields first, then does it. */
  submit(work: () => unknown) {
    return (event: SubmitEvent & { currentTarget: HTMLFormElement }) => {
      event.preventDefault();
      const wrong = event.currentTarget.querySelector<HTMLInputElement>('input:invalid, select:invalid, textarea:invalid');
      if (!wrong) return void work();
      void this.fail(
        wrong.validity.valueMissing
          ? { code: 'required', message: '', field: wrong.name }
          : { code: 'invalid', message: wrong.validationMessage, field: wrong.name },
      );
    };
  }

  async fail(problem: Problem) {
    this.problem = problem;
    await tick();
    const wrong = [...document.querySelectorAll<HTMLElement>('[aria-invalid="true"]')].pop();
    const hidden = wrong?.closest('details');
    if (hidden) hidden.open = true;
    wrong?.focus();
  }
}

export function provideForm(form: () => Form) {
  setContext(KEY, form);
}

export function useForm(): Form | undefined {
  return getContext<(() => Form) | undefined>(KEY)?.();
}
