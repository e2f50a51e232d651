import { defaultBudgetSeconds, type Profile } from '../profile.ts';
import { udpBlocked } from './udp-blocked.ts';

export const udpReturns: Profile = {
  name: 'udp-returns',
  summary: 'UDP is dropped at first, and passes from 20 s after the join on',
  firewall: udpBlocked.firewall ?? '',
  later: { seconds: 20, firewall: '', before: udpBlocked.rungs, climbSeconds: 45, mostGapMs: 1_000 },
  rungs: { chromium: ['udp'], node: ['udp'] },
  budgetSeconds: defaultBudgetSeconds,
};
