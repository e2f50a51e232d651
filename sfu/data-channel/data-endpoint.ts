/**
 * Data channels of a room. A message of a participant's channel goes to every other one who has data channels, on a
 * channel of theirs that this side opens when the first message comes: it has the same label and the same reliability,
 * and as its protocol the id of the participant who speaks. A channel whose own protocol is the id of a participant
 * goes to that one alone.
 */
import { dataLimits } from '../../tunnel-protocol/index.ts';
import type {
  DataAssociation,
  DataChannel,
  DataCounters,
  DataEndReason,
  DataMessage,
} from '../../tunnel-protocol/index.ts';
import { createDataAssociation } from './sctp.ts';

/** What the offer's data section says. */
export interface RemoteData {
  readonly port: number;
  readonly maxMessageBytes: number;
}

export interface DataEndpointEvents {
  onMessage(channel: DataChannel, message: DataMessage): void;
  onChannelClosed(channel: DataChannel): void;
  /** Not because of the owner's own `end()`. */
  onEnded(reason: DataEndReason): void;
}

/** One participant's end. */
export class DataEndpoint {
  readonly #association: DataAssociation;
  readonly #counters: DataCounters;
  readonly #events: DataEndpointEvents;
  /** Channels that this side opened, by speaker and then by the number of the speaker's channel. */
  readonly #relays = new Map<string, Map<number, DataChannel>>();

  constructor(
    remote: RemoteData,
    counters: DataCounters,
    send: (packet: Uint8Array) => void,
    events: DataEndpointEvents,
  ) {
    this.#counters = counters;
    this.#events = events;
    const { port: remotePort, maxMessageBytes: remoteMaxMessageBytes } = remote;
    this.#association = createDataAssociation(
      { role: 'server', remotePort, remoteMaxMessageBytes, counters, send },
      {
        onMessage: (channel, message) => {
          // Only what the participant opened is anybody's to hear: the others are for listening.
          if (!channel.local) events.onMessage(channel, message);
        },
        onChannelClosed: (channel) => {
          if (channel.local) this.#forget(channel);
          else events.onChannelClosed(channel);
        },
        onEnded: (reason) => {
          events.onEnded(reason);
        },
      },
    );
    this.#association.start();
  }

  /** One SCTP packet; the bytes are given away. */
  receive(packet: Uint8Array): void {
    this.#association.receive(packet);
  }

  /**
   * A message of somebody's channel. It waits for the association, as far as there is room. A reader too slow for
   * reliable ones is ended.
   */
  deliver(speaker: string, channel: DataChannel, message: DataMessage): void {
    const { connected, ended, queuedBytes } = this.#association;
    if (ended) return;
    if (!connected && queuedBytes > dataLimits.maxQueuedUnreliableBytes) {
      this.#counters.messages_lost++;
      return;
    }
    const relay = this.#relayOf(speaker, channel);
    const result = relay === null ? 'lost' : this.#association.send(relay, message);
    if (result === 'refused') {
      this.#counters.associations_ended++;
      this.end();
      this.#events.onEnded('slow-reader');
    } else if (relay === null || result === 'too-large') {
      this.#counters.messages_lost++;
    }
  }

  /** The speaker closed that channel; null: the speaker is gone. */
  release(speaker: string, channel: DataChannel | null): void {
    const relays = this.#relays.get(speaker);
    for (const [id, relay] of relays ?? []) {
      if (channel !== null && channel.id !== id) continue;
      relays?.delete(id);
      this.#association.close(relay);
    }
    if (relays?.size === 0) this.#relays.delete(speaker);
  }

  /** No event follows. Idempotent. */
  end(): void {
    this.#association.end();
    this.#relays.clear();
  }

  #relayOf(speaker: string, channel: DataChannel): DataChannel | null {
    let relays = this.#relays.get(speaker);
    const known = relays?.get(channel.id);
    if (known !== undefined) return known;
    const { label, ordered, reliability } = channel;
    const relay = this.#association.open({ label, protocol: speaker, ordered, reliability });
    if (relay === null) return null;
    if (relays === undefined) this.#relays.set(speaker, (relays = new Map<number, DataChannel>()));
    relays.set(channel.id, relay);
    return relay;
  }

  /** The listener closed a channel of this side: the next message opens another. */
  #forget(channel: DataChannel): void {
    const relays = this.#relays.get(channel.protocol);
    for (const [id, relay] of relays ?? []) if (relay === channel) relays?.delete(id);
  }
}
