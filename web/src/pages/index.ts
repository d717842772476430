import type { Component } from 'svelte';
import type { Role } from '../api/types';
import Accounts from './Accounts.svelte';
import Administrators from './Administrators.svelte';
import Audit from './Audit.svelte';
import Blocks from './Blocks.svelte';
import Calls from './Calls.svelte';
import Groups from './Groups.svelte';
import Logs from './Logs.svelte';
import Mine from './Mine.svelte';
import Records from './Records.svelte';
import Registrations from './Registrations.svelte';
import Rules from './Rules.svelte';
import Settings from './Settings.svelte';
import Status from './Status.svelte';
import Trunks from './Trunks.svelte';

export type Section = 'overview' | 'telephony' | 'system';

const entries = [
  { name: 'status', section: 'overview', page: Status },
  { name: 'calls', section: 'overview', page: Calls },
  { name: 'registrations', section: 'overview', page: Registrations },
  { name: 'records', section: 'overview', page: Records },
  { name: 'accounts', section: 'telephony', page: Accounts },
  { name: 'groups', section: 'telephony', page: Groups },
  { name: 'rules', section: 'telephony', page: Rules },
  { name: 'trunks', section: 'telephony', page: Trunks },
  { name: 'settings', section: 'system', page: Settings },
  { name: 'blocks', section: 'system', page: Blocks },
  { name: 'administrators', section: 'system', page: Administrators },
  { name: 'logs', section: 'system', page: Logs },
  { name: 'audit', section: 'system', page: Audit },
  { name: 'mine', section: 'overview', page: Mine },
] as const satisfies { name: string; section: Section; page: Component }[];

export type PageEntry = (typeof entries)[number];

/** Users see only their own account; administrators are managed by administrators. */
export function pagesFor(role: Role): PageEntry[] {
  if (role === 'user') return entries.filter(({ name }) => name === 'mine');
  return entries.filter(({ name }) => name !== 'mine' && (role === 'administrator' || name !== 'administrators'));
}
