import { defaultBudgetSeconds, forwardRules, type Profile } from '../profile.ts';

export const udpBlocked: Profile = {
  name: 'udp-blocked',
  summary: 'all UDP is dropped silently, TCP passes',
  firewall: forwardRules('meta l4proto udp counter drop'),
  rungs: {
    chromium: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
    node: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
  },
  budgetSeconds: defaultBudgetSeconds,
};
