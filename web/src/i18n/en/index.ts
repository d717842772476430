import { common, nav, problems, session } from './common';
import { calls, firstSteps, notices, records, registrations, status } from './overview';
import { rules, tryIt } from './rules';
import { administrators, audit, blocks, logs, server, settings } from './system';
import { accounts, devices, groups, importing, many, trunks } from './telephony';

export const en = {
  common,
  nav,
  problems,
  session,
  status,
  firstSteps,
  notices,
  registrations,
  calls,
  records,
  accounts,
  many,
  importing,
  groups,
  trunks,
  devices,
  rules,
  tryIt,
  settings,
  blocks,
  administrators,
  logs,
  audit,
  server,
};
