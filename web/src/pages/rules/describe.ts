import type { Rule, Trunk } from '../../api/types';
import { i18n } from '../../i18n/index.svelte';

export function trunkName(id: string, trunks: Trunk[]): string {
  return trunks.find((trunk) => trunk.id === id)?.name ?? id;
}

/** What a rule is for, in words. */
export function matchOf({ match }: Rule, trunks: Trunk[]): string[] {
  const t = i18n.t.rules;
  const from = match.trunk === '*' ? t.anyTrunk : trunkName(match.trunk, trunks);
  const parts = [
    match.number && t.matchNumber(match.number),
    match.caller && t.matchCaller(match.caller),
    match.domain && t.matchDomain(match.domain),
    match.trunk && t.matchTrunk(from),
    match.methods.join(', '),
  ].filter(Boolean);
  return parts.length ? parts : [t.everything];
}

/** What a rule does, in words. */
export function actionOf({ action, rewrite }: Rule, trunks: Trunk[]): string {
  const t = i18n.t.rules;
  const changes = [
    rewrite.strip ? `−${rewrite.strip}` : '',
    rewrite.prefix && `${rewrite.prefix}…`,
    rewrite.suffix && `…${rewrite.suffix}`,
    rewrite.replace && `→ ${rewrite.replace}`,
    rewrite.country,
  ].filter(Boolean);
  const rewriting = changes.length ? ` (${changes.join(', ')})` : '';
  switch (action.kind) {
    case 'trunks':
      return t.toTrunks(action.trunks.map((id) => trunkName(id, trunks)).join(', ')) + rewriting;
    case 'domain':
      return t.toDomain(action.domain) + rewriting;
    case 'reject':
      return t.refuses(`${action.status} ${action.reason}`.trim());
    default:
      return t.kinds[action.kind] + rewriting;
  }
}
