import type { Imported } from '../src/api/types';
import { DOMAIN, account, type World } from './data';
import { password } from './routes';

export const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function cells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, q, plain]) => q?.replaceAll('""', '"') ?? plain ?? '');
}

export function importAccounts(world: World, text: string, dry: boolean): Imported {
  const answer: Imported = { created: 0, changed: 0, errors: [], passwords: [] };
  const [head, ...lines] = text.split(/\r?\n/);
  const names = cells(head);
  if (!names.includes('user')) {
    answer.errors.push({ line: 1, column: 'user', message: 'the header line has no column "user"' });
    return answer;
  }
  lines.forEach((raw, i) => {
    if (!raw.trim()) return;
    const row = Object.fromEntries(cells(raw).map((cell, j) => [names[j] ?? '', cell]));
    const wrong = (column: string, message: string) => answer.errors.push({ line: i + 2, column, message });
    if (!/^[\w.+-]+$/.test(row.user ?? '')) return wrong('user', `"${row.user ?? ''}" is no user name`);
    if (row.domain && row.domain !== DOMAIN) return wrong('domain', `"${row.domain}" is no domain of this server`);
    const known = world.accounts.find(({ user }) => user === row.user);
    if (known) answer.changed++;
    else answer.created++;
    if (dry) return;
    const target = known ?? account(row.user);
    target.display_name = row.display_name ?? target.display_name;
    target.aliases = (row.aliases ?? '').split(' ').filter(Boolean);
    if (known) return;
    world.accounts.push(target);
    if (!row.password) answer.passwords.push({ address: target.address, password: password() });
  });
  return answer;
}
