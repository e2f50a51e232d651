import { connectProxy } from '../connect-proxies.ts';
import { defaultBudgetSeconds, forwardRules, type Profile } from '../profile.ts';

const common = {
  firewall: forwardRules('counter drop'),
  rungs: {
    chromium: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
    node: ['ice-tcp', 'turn-tcp', 'turn-tls', 'websocket'],
  },
  budgetSeconds: defaultBudgetSeconds,
} satisfies Partial<Profile>;

export const connectSquid: Profile = {
  ...common,
  name: 'connect-squid',
  summary: 'nothing leaves but through squid, CONNECT to port 443',
  programs: ['squid'],
  intermediary: connectProxy('squid'),
};

export const connectTinyproxy: Profile = {
  ...common,
  name: 'connect-tinyproxy',
  summary: 'nothing leaves but through tinyproxy, CONNECT to port 443',
  programs: ['tinyproxy'],
  intermediary: connectProxy('tinyproxy'),
};

export const connectBasic: Profile = {
  ...common,
  name: 'connect-basic',
  summary: 'nothing leaves but through squid, which wants a password (Basic)',
  programs: ['squid'],
  intermediary: connectProxy('squid', 'basic'),
};

export const connectDigest: Profile = {
  ...common,
  name: 'connect-digest',
  summary: 'nothing leaves but through squid, which wants a password (Digest)',
  programs: ['squid'],
  intermediary: connectProxy('squid', 'digest'),
};
