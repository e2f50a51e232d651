import { inspectingHop, tlsHopRules } from '../tls-hop.ts';
import { defaultBudgetSeconds, type Profile } from '../profile.ts';

export const dpiStun: Profile = {
  name: 'dpi-stun',
  summary: 'only port 443 leaves; what starts with STUN or RFC 4571 is reset there, and TLS without an HTTP ALPN too',
  firewall: tlsHopRules,
  programs: ['haproxy'],
  intermediary: inspectingHop,
  rungs: { chromium: ['websocket'], node: ['websocket'] },
  budgetSeconds: defaultBudgetSeconds,
};
