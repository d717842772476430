import type { Rule, Tried, Try } from '../src/api/types';
import type { World } from './data';

const LETTERS: Record<string, string> = { X: '\\d', N: '[2-9]', Z: '[1-9]', '.': '.+', '!': '.*' };

function expression(pattern: string): RegExp {
  const regular = /^\/(.*)\/$/.exec(pattern);
  if (regular) return new RegExp(regular[1]);
  const parts = [...pattern].map((c) => LETTERS[c] ?? c.replace(/[^\w]/g, '\\$&'));
  return new RegExp(`^${parts.join('')}$`);
}

function why(rule: Rule, number: string, asked: Try): [boolean, string] {
  if (!rule.enabled) return [false, 'the rule is switched off'];
  if (rule.match.trunk && rule.match.trunk !== asked.trunk) return [false, 'it is for calls from a trunk'];
  if (rule.match.number && !expression(rule.match.number).test(number)) {
    return [false, `number ${number} does not match ${rule.match.number}`];
  }
  return [true, rule.match.number ? `number ${number} matches ${rule.match.number}` : 'it is for every number'];
}

function rewritten({ rewrite }: Rule, number: string): string {
  const bare = rewrite.prefix + number.slice(rewrite.strip) + rewrite.suffix;
  return rewrite.country === 'KR' && bare.startsWith('0') ? `+82${bare.slice(1)}` : bare;
}

export function tryRules(world: World, asked: Try): Tried {
  const known = world.accounts.find((a) => a.user === asked.number || a.aliases.includes(asked.number));
  if (known) {
    const outcome = `rings ${known.registered} phones of ${known.address}`;
    return { steps: [], number: asked.number, outcome, kind: 'account', targets: [known.address] };
  }
  const group = world.groups.find(({ number }) => number === asked.number);
  if (group) return { steps: [], number: asked.number, outcome: `rings the group ${group.name}`, kind: 'group', targets: group.members };
  const steps: Tried['steps'] = [];
  let number = asked.number;
  for (const rule of world.rules) {
    const [matched, reason] = why(rule, number, asked);
    steps.push({ rule: rule.id, name: rule.name, matched, why: reason });
    if (!matched) continue;
    number = rewritten(rule, number);
    const { action } = rule;
    if (action.kind === 'continue') continue;
    if (action.kind === 'reject') {
      return { steps, number, outcome: `is refused with ${action.status} ${action.reason}`, kind: 'reject', targets: [] };
    }
    if (action.kind === 'domain') return { steps, number, outcome: `goes to ${action.domain}`, kind: 'domain', targets: [action.domain] };
    if (action.kind === 'trunks') {
      const names = action.trunks.map((id) => world.trunks.find((t) => t.id === id)?.name ?? id);
      return { steps, number, outcome: `goes to trunk ${names.join(', then ')}`, kind: 'trunks', targets: names };
    }
  }
  return { steps, number, outcome: 'no account and no rule takes this number: 404 Not Found', kind: 'nobody', targets: [] };
}
