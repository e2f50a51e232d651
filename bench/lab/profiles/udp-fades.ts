import { defaultBudgetSeconds, forwardRules, type Profile } from '../profile.ts';

export const udpFades: Profile = {
  name: 'udp-fades',
  summary: 'the first 100 UDP packets pass, either way together, then none does',
  // What is in the bucket at first passes; it fills by one packet an hour.
  firewall: forwardRules('meta l4proto udp limit rate over 1/hour burst 100 packets counter drop'),
  rungs: {
    chromium: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
    node: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
  },
  budgetSeconds: defaultBudgetSeconds,
};
