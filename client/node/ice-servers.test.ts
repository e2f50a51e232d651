import t from 'tap';
import { readTurnServers } from './ice-servers.ts';

t.test('one server for each rung, the first one', (t) => {
  const credentials = { username: 'u', credential: 'c' };
  const servers = readTurnServers([
    { urls: 'stun:192.0.2.9' },
    { urls: 'turn:nobody.example' },
    {
      urls: [
        'turn:edge.example:3478?transport=udp',
        'turn:edge.example:443?transport=tcp',
        'turns:edge.example:443?transport=udp',
        'turns:edge.example:443?transport=tcp',
      ],
      ...credentials,
    },
    { urls: 'turn:other.example', ...credentials },
  ]);
  t.strictSame(
    [...servers.values()],
    [
      { rung: 'turn-udp', host: 'edge.example', port: 3478, ...credentials },
      { rung: 'turn-tcp', host: 'edge.example', port: 443, ...credentials },
      { rung: 'turn-tls', host: 'edge.example', port: 443, ...credentials },
    ],
  );
  t.equal(readTurnServers([]).size, 0);
  t.end();
});
