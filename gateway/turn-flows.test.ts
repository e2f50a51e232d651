/** TURN flows of a session's tunnel, with a real TURN server behind: limits, ends, and any bytes. */
import * as fc from 'fast-check';
import t from 'tap';
import {
  encodeTurnFlowFrame,
  StunBuilder,
  stunClass,
  stunMethod,
  turnFlowLimits,
  turnFlowMessage,
  turnFlowOf,
  type Path,
} from '../tunnel-protocol/index.ts';
import { createTurnServer } from '../turn/index.ts';
import { TurnFlows } from './turn-flows.ts';

function setUp() {
  const quiet = (): void => undefined;
  const server = createTurnServer(
    {
      realm: 'edge',
      secret: 'secret',
      relay: { ipv4: { advertised: '192.0.2.1', bind: '192.0.2.1' } },
      sfuAddresses: [],
    },
    {
      now: () => 0,
      wallClock: () => 0,
      log: { info: quiet, warn: quiet, error: quiet },
      sessionLives: () => true,
      sfu: { receive: quiet },
    },
  );
  const refused: string[] = [];
  const sent: { readonly flow: number; readonly length: number }[] = [];
  const path = {
    remote: { address: '198.51.100.7', port: 0 },
    send: (frame: Uint8Array) => {
      sent.push({ flow: turnFlowOf(frame), length: turnFlowMessage(frame).length });
      return true;
    },
  } as unknown as Path;
  const flows = new TurnFlows({
    turn: { accept: (stream) => server.acceptStream(stream) },
    refused: (reason) => refused.push(reason),
  });
  return { server, flows, path, sent, refused };
}

const binding = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12)).take();

t.test('flows come and go with their messages, and end with their session', (t) => {
  const { server, flows, path, sent, refused } = setUp();
  const say = (flow: number, message: Uint8Array): boolean =>
    flows.receive('session', path, encodeTurnFlowFrame(flow, message));
  t.ok(say(0, new Uint8Array(0)), 'only says where the session is');
  t.equal(server.streams, 0);
  t.ok(say(7, binding));
  t.match(sent, [{ flow: 7, length: 32 }]);
  t.ok(say(7, new Uint8Array(0)));
  t.equal(server.streams, 0, 'ended by the client');
  t.ok(say(8, Buffer.alloc(40, 0xee)));
  t.match(sent.at(-1), { flow: 8, length: 0 }, 'ended by the server');
  t.equal(server.streams, 0);
  for (let flow = 1; flow <= turnFlowLimits.maxFlows + 2; flow++) say(flow, binding);
  t.equal(server.streams, turnFlowLimits.maxFlows);
  t.same(refused, ['turn-flows', 'turn-flows']);
  flows.endSession('session');
  t.equal(server.streams, 0);
  t.equal(flows.size, 0);
  t.notOk(flows.receive('session', path, Uint8Array.of(0x41, 0, 1, 2)), 'what is not of TURN is the upstream’s');
  t.notOk(flows.receive('session', path, Uint8Array.of(0x40, 0)));
  t.end();
});

t.test('any bytes', (t) => {
  const { server, flows, path } = setUp();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.uint8Array({ maxLength: 2045 }), (flow, message) => {
      flows.receive('session', path, encodeTurnFlowFrame(flow, message));
    }),
  );
  flows.endSession('session');
  t.equal(server.streams, 0);
  t.end();
});
