import { plainLink } from '../link/parameters.ts';
import { defaultBudgetSeconds, type Profile } from '../profile.ts';

const oneWay = { ...plainLink, delayMs: 25, lossPercent: 5 };

export const lossy5: Profile = {
  name: 'lossy-5',
  summary: '5 % random loss each way on everything, 50 ms round trip',
  link: { up: oneWay, down: oneWay },
  rungs: { chromium: ['udp'], node: ['udp'] },
  budgetSeconds: defaultBudgetSeconds,
};
