import { defaultBudgetSeconds, forwardRules, type Profile } from '../profile.ts';

export const udpRejected: Profile = {
  name: 'udp-rejected',
  summary: 'all UDP is answered by ICMP errors, TCP passes',
  firewall: forwardRules('meta l4proto udp counter reject with icmpx admin-prohibited'),
  rungs: {
    chromium: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
    node: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
  },
  budgetSeconds: defaultBudgetSeconds,
};
