import { i18n } from '../i18n/index.svelte';

const cache = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>();

function cached<F extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(
  key: string,
  make: (language: string) => F,
): F {
  // The way of writing dates is the one of the browser, where it speaks the language of the page.
  const language = navigator.languages.find((l) => l.startsWith(i18n.language)) ?? i18n.language;
  const full = `${language} ${key}`;
  const known = cache.get(full) ?? make(language);
  cache.set(full, known);
  return known as F;
}

export function number(value: number, digits = 0): string {
  return cached(`n${digits}`, (l) => new Intl.NumberFormat(l, { maximumFractionDigits: digits })).format(value);
}

/** Small rates with a decimal, large ones without. */
export function rate(value: number): string {
  return number(value, value < 10 ? 1 : 0);
}

export function percent(share: number): string {
  return cached('p', (l) => new Intl.NumberFormat(l, { style: 'percent', maximumFractionDigits: 1 })).format(share);
}

export function bytes(value: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log(value) / Math.log(1000))) : 0;
  const unit = units[step];
  return cached(
    `b${unit}`,
    (l) => new Intl.NumberFormat(l, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: 1 }),
  ).format(value / 1000 ** step);
}

export function dateTime(time: number): string {
  return cached('dt', (l) => new Intl.DateTimeFormat(l, { dateStyle: 'medium', timeStyle: 'medium' })).format(time);
}

export function clock(time: number): string {
  return cached(
    'c',
    (l) => new Intl.DateTimeFormat(l, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
  ).format(time);
}

export function relative(time: number, now: number): string {
  const seconds = Math.round((time - now) / 1000);
  const [size, unit] = stepOf(Math.abs(seconds));
  return cached('r', (l) => new Intl.RelativeTimeFormat(l, { numeric: 'auto' })).format(
    Math.trunc(seconds / size),
    unit,
  );
}

/** 3:07 or 1:02:09. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** The two largest units: "3 days 4 hr". */
export function span(seconds: number): string {
  const first = STEPS.findIndex(([size]) => seconds >= size);
  const parts = STEPS.slice(first < 0 ? 3 : first).slice(0, 2);
  let rest = Math.floor(seconds);
  const texts: string[] = [];
  for (const [size, unit] of parts) {
    const value = Math.floor(rest / size);
    rest %= size;
    if (value || !texts.length) texts.push(inUnit(value, unit));
  }
  return texts.join(' ');
}

type Unit = 'second' | 'minute' | 'hour' | 'day';
const STEPS: [number, Unit][] = [
  [86400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];

function stepOf(seconds: number): [number, Unit] {
  return STEPS.find(([size]) => seconds >= size) ?? STEPS[3];
}

function inUnit(value: number, unit: Unit): string {
  return cached(`u${unit}`, (l) => new Intl.NumberFormat(l, { style: 'unit', unit, unitDisplay: 'short' })).format(value);
}
