/** What a scene of the ladder bench is made of: an edge, whose UDP goes through a relay that can fail, and calls in it. */
import type { LadderEvent, NodeCall, NodeJoinOptions } from '../../client/index.ts';
import { startEdge, type TestEdge } from '../e2e/edge.ts';
import { joinInsecurely, packetsOf, publishClip, trackOf } from '../e2e/node-tools.ts';
import { relayAddress, startUdpRelay, type UdpRelay } from '../e2e/udp-relay.ts';

type EventOf<T extends LadderEvent['type']> = Extract<LadderEvent, { type: T }>;

/** After this the bench gives up: nothing in it takes a third of that. */
const patienceMs = 60_000;

export class Scene {
  readonly #undo: (() => void | Promise<void>)[] = [];
  readonly edge: TestEdge;

  private constructor(edge: TestEdge) {
    this.edge = edge;
    this.cleanUp(() => edge.close());
  }

  /** Everything that was opened is closed at the end, the last one first. Every rung is there, and works. */
  static async play<T>(
    use: (scene: Scene) => Promise<T>,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const scene = new Scene(await startEdge({ turn: true, environment }));
    try {
      return await use(scene);
    } finally {
      for (const undo of scene.#undo.reverse()) await undo();
    }
  }

  /** The media port is reached through the relay alone; there is no ICE-TCP at its address. */
  static playRelayed<T>(use: (scene: Scene, relay: UdpRelay) => Promise<T>): Promise<T> {
    return Scene.play(
      async (scene) => {
        const relay = await startUdpRelay('127.0.0.1', scene.edge.udpPort);
        scene.cleanUp(() => {
          relay.close();
        });
        return use(scene, relay);
      },
      { SALLYPORT_PUBLIC_ADDRESS: relayAddress },
    );
  }

  cleanUp(undo: () => void | Promise<void>): void {
    this.#undo.push(undo);
  }

  async join(options: NodeJoinOptions, url = this.edge.url): Promise<NodeCall> {
    const call = await joinInsecurely(url, options);
    this.cleanUp(() => call.leave());
    return call;
  }

  async publish(call: NodeCall): Promise<void> {
    const source = await publishClip(call);
    this.cleanUp(() => {
      source.stop();
    });
  }

  async watch(call: NodeCall, mid: string): Promise<Awaited<ReturnType<typeof trackOf>>> {
    const track = await trackOf(call, mid);
    await packetsOf(track, 60);
    return track;
  }
}

/** The next such event of a call; rejects when none comes. */
export function nextEvent<T extends LadderEvent['type']>(
  call: NodeCall,
  type: T,
  wanted: (event: EventOf<T>) => boolean = () => true,
): Promise<EventOf<T>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      off();
      reject(new Error(`no ${type} within ${String(patienceMs)} ms: ${JSON.stringify(call.ladderLog)}`));
    }, patienceMs);
    const off = call.on('ladder', (event) => {
      if (event.type !== type || !wanted(event as EventOf<T>)) return;
      clearTimeout(timer);
      off();
      resolve(event as EventOf<T>);
    });
  });
}
