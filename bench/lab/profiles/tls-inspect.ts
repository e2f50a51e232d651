import { defaultBudgetSeconds, type Profile } from '../profile.ts';
import { bufferingHop, captiveHop, haproxyHop, tlsHopRules } from '../tls-hop.ts';

const common = {
  firewall: tlsHopRules,
  programs: ['haproxy', 'openssl'],
  budgetSeconds: defaultBudgetSeconds,
} satisfies Partial<Profile>;

/** Both headers are for one hop only. */
const stripUpgrade = ['http-request del-header Upgrade', 'http-request del-header Connection'];

export const tlsInspect: Profile = {
  ...common,
  name: 'tls-inspect',
  summary: 'TLS is read with a certificate of the company; only HTTP on port 443 leaves, WebSocket passes',
  intermediary: haproxyHop({}),
  rungs: { chromium: ['websocket'], node: ['websocket'] },
};

export const noUpgrade: Profile = {
  ...common,
  name: 'no-upgrade',
  summary: 'TLS is read, and Upgrade taken out of requests: no WebSocket',
  intermediary: haproxyHop({ rules: stripUpgrade }),
  rungs: { chromium: ['http-stream'], node: ['http-stream'] },
};

export const buffering: Profile = {
  ...common,
  name: 'buffering',
  summary: 'TLS is read, no WebSocket, and answers pass when they are complete, or after 60 s not at all',
  programs: ['nginx', 'openssl'],
  intermediary: bufferingHop,
  rungs: { chromium: ['long-poll'], node: ['long-poll'] },
};

const binary = 'application/octet-stream';

export const textOnly: Profile = {
  ...common,
  name: 'text-only',
  summary: 'TLS is read, no WebSocket, and binary bodies are refused either way',
  intermediary: haproxyHop({
    rules: [
      ...stripUpgrade,
      `http-request deny if { req.hdr(content-type) -m beg ${binary} }`,
      `http-response deny if { res.hdr(content-type) -m beg ${binary} }`,
    ],
  }),
  rungs: { chromium: ['long-poll'], node: ['long-poll'] },
};

export const idleKill: Profile = {
  ...common,
  name: 'idle-kill',
  summary: 'TLS is read, no WebSocket, connections are cut after 20 s without a byte, and all of them at 60 s',
  intermediary: haproxyHop({ rules: stripUpgrade, idleSeconds: 20, mostSeconds: 60 }),
  rungs: { chromium: ['http-stream', 'long-poll'], node: ['http-stream', 'long-poll'] },
  watchSeconds: 70,
};

export const captive: Profile = {
  ...common,
  name: 'captive',
  summary: "a sign-in page answers in the edge's place, with a certificate that nobody trusts",
  intermediary: captiveHop,
  notYet: { chromium: 'here the page itself does not load' },
  rungs: { chromium: [], node: [] },
  refusal: { codes: ['certificate-untrusted', 'captive-portal'], seconds: 5 },
};
