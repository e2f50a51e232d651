import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { adviceFor } from './advice.ts';
import type { DoctorReport, NetworkFindings, RungOutcome } from './types.ts';

const clean: NetworkFindings = {
  proxy: null,
  certificate: { subject: 'edge.example', issuer: 'Good CA', trusted: true, intercepted: false },
  upgradeStripped: false,
  buffering: false,
  captivePortal: false,
  ipv6: 'edge-has-none',
  seenAs: '192.0.2.7',
  via: null,
};

function advice(
  outcomes: Partial<Record<Rung, RungOutcome>>,
  network: Partial<NetworkFindings> = {},
  changes: Partial<DoctorReport> = {},
): string {
  return adviceFor({
    version: 1,
    url: 'https://edge.example',
    host: 'edge.example',
    when: '2030-01-01T00:00:00Z',
    ms: 1000,
    edge: { addresses: ['198.51.100.10'], ports: { tcp: 443, udp: 443, turnUdp: 3478 } },
    problem: null,
    network: { ...clean, ...network },
    rungs: rungs.map((rung) => {
      const outcome = outcomes[rung] ?? 'works';
      const works = outcome === 'works';
      return {
        rung,
        outcome,
        code: null,
        detail: null,
        joinMs: works ? 200 : null,
        latencyMs: works ? 20 : null,
        bitsPerSecond: works ? 1_200_000 : null,
        lossFraction: works ? 0 : null,
      };
    }),
    ...changes,
  });
}

t.test('an open network has nothing to change', (t) => {
  const text = advice({});
  t.match(text, 'Nothing has to be changed.');
  t.match(text, /Works without any change:\n {2}- UDP, straight/);
  t.notMatch(text, 'better:');
  t.end();
});

t.test('without UDP: which name, which address, which ports', (t) => {
  const text = advice({ udp: 'blocked', 'turn-udp': 'blocked' });
  t.match(text, 'Calls work here, by ICE over TCP.');
  t.match(text, 'Allow UDP to edge.example (198.51.100.10), port 443');
  t.match(text, 'If that port cannot be opened, allow UDP to edge.example (198.51.100.10), port 3478');
  t.notMatch(text, 'TLS inspection');
  t.end();
});

t.test('an intercepting network: who intercepts, and what it takes away', (t) => {
  const blocked = { udp: 'blocked', 'ice-tcp': 'blocked', 'turn-tls': 'blocked', websocket: 'blocked' } as const;
  const text = advice(blocked, {
    certificate: { subject: 'edge.example', issuer: 'Company CA', trusted: true, intercepted: true },
    upgradeStripped: true,
    buffering: true,
    proxy: 'proxy.example:3128',
    ipv6: 'not-from-here',
  });
  t.match(text, 'issued by Company CA');
  t.match(text, 'Take edge.example out of TLS inspection');
  t.match(text, 'Let the headers “Upgrade” and “Connection” pass');
  t.match(text, 'Pass answers of edge.example on as they come');
  t.match(text, 'requests go by the proxy proxy.example:3128');
  t.match(text, 'cannot be reached from here');
  t.end();
});

t.test('where the edge could not be asked', (t) => {
  const untrusted = { subject: 'portal', issuer: 'Portal', trusted: false, intercepted: null };
  const all = Object.fromEntries(rungs.map((rung) => [rung, 'untested'])) as Record<Rung, RungOutcome>;
  const portal = advice(
    all,
    { captivePortal: true, certificate: untrusted },
    {
      edge: null,
      host: 'edge.example:8443',
      problem: { code: 'captive-portal', message: 'This network answered in place of the edge.' },
    },
  );
  t.match(portal, 'Calls do not work here: the server could not be asked. This network answered');
  t.match(portal, 'Sign in to this network first');
  t.match(portal, 'Allow connections to edge.example, TCP port 8443.');
  const refused = advice(all, {}, { edge: null, problem: { code: 'proxy-refused', message: 'No.' } });
  t.match(refused, 'Let the proxy pass CONNECT to edge.example:443.');
  const account = advice(all, {}, { edge: null, problem: { code: 'proxy-auth-required', message: 'Who?' } });
  t.match(account, 'Give the user an account at the proxy.');
  t.end();
});

t.test('nothing gets through', (t) => {
  const all = Object.fromEntries(rungs.map((rung) => [rung, 'blocked'])) as Record<Rung, RungOutcome>;
  t.match(advice(all), 'nothing that carries sound and picture gets through');
  t.end();
});
