import { defaultBudgetSeconds, type Profile } from '../profile.ts';

export const open: Profile = {
  name: 'open',
  summary: 'everything passes',
  rungs: { chromium: ['udp'], node: ['udp'] },
  budgetSeconds: defaultBudgetSeconds,
};
