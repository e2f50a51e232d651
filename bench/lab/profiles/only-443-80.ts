import { defaultBudgetSeconds, forwardRules, type Profile } from '../profile.ts';

export const only443And80: Profile = {
  name: 'only-443-80',
  summary: 'only TCP to ports 443 and 80 leaves',
  firewall: forwardRules(
    'ct state established,related accept',
    'iifname "inside" tcp dport { 80, 443 } accept',
    'counter drop',
  ),
  rungs: {
    chromium: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
    node: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
  },
  budgetSeconds: defaultBudgetSeconds,
};
