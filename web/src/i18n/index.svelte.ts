import { en } from './en';
import { ko } from './ko';

export type Dictionary = typeof en;
export type Language = 'en' | 'ko';

const KEY = 'sori.language';
const dictionaries: Record<Language, Dictionary> = { en, ko };

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function first(): Language {
  const wanted = remembered() ?? navigator.language;
  return wanted.toLowerCase().startsWith('ko') ? 'ko' : 'en';
}

class Translations {
  language = $state<Language>(first());
  readonly t = $derived(dictionaries[this.language]);

  choose(language: Language) {
    this.language = language;
    try {
      localStorage.setItem(KEY, language);
    } catch {
      // Storage is switched off: the choice holds until the page is closed.
    }
  }
}

export const i18n = new Translations();

/** The text for a code of the server; the code itself when there is none. */
export function lookup(texts: Record<string, string>, code: string): string {
  return Object.hasOwn(texts, code) ? texts[code] : code;
}

/** Fills {name} from values. */
export function fill(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}
