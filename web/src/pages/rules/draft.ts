import type { Rule } from '../../api/types';

/** All members of all actions, so that a change of the kind loses nothing that was typed. */
export interface ActionDraft {
  kind: Rule['action']['kind'];
  trunks: string[];
  mode: 'in_order' | 'shared';
  domain: string;
  status: number;
  reason: string;
}

export function draftOf(action: Rule['action'] | undefined): ActionDraft {
  const empty: ActionDraft = { kind: 'trunks', trunks: [], mode: 'in_order', domain: '', status: 403, reason: '' };
  const draft = { ...empty, ...action };
  return { ...draft, trunks: [...draft.trunks] };
}

export function actionFrom({ kind, trunks, mode, domain, status, reason }: ActionDraft): Rule['action'] {
  switch (kind) {
    case 'trunks':
      return { kind, trunks: [...trunks], mode };
    case 'domain':
      return { kind, domain: domain.trim() };
    case 'reject':
      return { kind, status, reason: reason.trim() };
    default:
      return { kind };
  }
}
