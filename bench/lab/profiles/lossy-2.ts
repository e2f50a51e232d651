import { plainLink } from '../link/parameters.ts';
import { defaultBudgetSeconds, type Profile } from '../profile.ts';

const oneWay = { ...plainLink, delayMs: 25, lossPercent: 2 };

export const lossy2: Profile = {
  name: 'lossy-2',
  summary: '2 % random loss each way on everything, 50 ms round trip',
  link: { up: oneWay, down: oneWay },
  rungs: { chromium: ['udp'], node: ['udp'] },
  budgetSeconds: defaultBudgetSeconds,
};
