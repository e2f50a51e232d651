/**
 * One allocation's data plane (RFC 8656 sections 9, 11, 12): its permissions, its peers with their channels, and the
 * way of every datagram, both ways, without node-turn. Times are not looked at per packet: what has expired is taken
 * out by {@link Allocation.expire}.
 */
import { classifyDatagram, datagramClass, u16 } from '../tunnel-protocol/index.ts';
import { formatIpAddress, maxDatagramBytes, type Path, type TransportAddress } from '../tunnel-protocol/index.ts';
import { AddressTable } from './address-table.ts';
import type { ClientLink, TurnKind } from './client-link.ts';
import { turnLifetime } from './config.ts';
import type { TurnCounterName, TurnCounters, TurnTraffic } from './counters.ts';
import type { AllocationRecord } from './node-turn-adapter.ts';
import { peerVerdict, type PeerPolicy, type PeerRules, type PeerVerdict } from './peer-policy.ts';
import type { Account } from './quotas.ts';
import type { RelaySocket, RelayTarget } from './relay-socket.ts';
import type { Family } from './request.ts';
import { peerIpAt, peerPortAt, sendDataIndication, XoredPeer } from './send-indication.ts';
import type { IndicationIds, SendIndication } from './send-indication.ts';
import { TurnPath } from './turn-path.ts';

/** What all allocations of a server share. */
export interface DataPlane {
  readonly counters: TurnCounters;
  readonly traffic: Readonly<Record<TurnKind, TurnTraffic>>;
  readonly policy: PeerPolicy;
  readonly now: () => number;
  readonly ids: IndicationIds;
  /** Reused for every Send indication. */
  readonly indication: SendIndication;
  /** The SFU in this process, when it is here. */
  readonly sfu: { receive(path: Path, datagram: Uint8Array): void } | null;
}

export interface Permission {
  expiresAt: number;
  live: boolean;
}

/** A peer's address and port, with a channel or without. */
export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly xored: XoredPeer;
  readonly verdict: PeerVerdict;
  permission: Permission;
  /** 0 without one. */
  channel: number;
  channelExpiresAt: number;
  path: TurnPath | null;
  target: RelayTarget | null;
}

export interface AllocationOptions {
  readonly link: ClientLink;
  readonly relayed: TransportAddress;
  readonly family: Family;
  readonly record: AllocationRecord;
  readonly username: string;
  readonly sessionId: string;
  readonly integrityKey: Uint8Array;
  readonly user: Account;
  readonly address: Account;
  readonly expiresAt: number;
  readonly peers: PeerRules;
}

/** Peers without a channel that are remembered; further ones are served as well, but looked up each time. */
const maxRememberedPeers = 64;

export class Allocation {
  readonly link: ClientLink;
  readonly relayed: TransportAddress;
  readonly family: Family;
  readonly record: AllocationRecord;
  readonly username: string;
  readonly sessionId: string;
  readonly integrityKey: Uint8Array;
  readonly user: Account;
  readonly address: Account;
  expiresAt: number;
  readonly rules: PeerRules;
  socket: RelaySocket | null = null;
  readonly #plane: DataPlane;
  readonly #traffic: TurnTraffic;
  readonly #permissions = new Map<string, Permission>();
  readonly #peers = new AddressTable<Peer>();
  readonly #channels = new Map<number, Peer>();
  /** The peer of the last Send indication: most clients have one. */
  #lastPeer: Peer | null = null;
  #ended = false;

  constructor(options: AllocationOptions, plane: DataPlane) {
    this.link = options.link;
    this.relayed = options.relayed;
    this.family = options.family;
    this.record = options.record;
    this.username = options.username;
    this.sessionId = options.sessionId;
    this.integrityKey = options.integrityKey;
    this.user = options.user;
    this.address = options.address;
    this.expiresAt = options.expiresAt;
    this.rules = options.peers;
    this.#plane = plane;
    this.#traffic = plane.traffic[options.link.kind];
  }

  /** A ChannelData message, header included, padded or not; borrowed. Runs for every datagram. */
  fromChannelData(message: Uint8Array): void {
    this.#traffic.received++;
    const { length } = message;
    const dataLength = length < 4 ? -1 : u16(message, 2);
    // Three bytes of padding are the most there can be.
    if (dataLength === -1 || length < 4 + dataLength || length > 7 + dataLength) {
      this.#drop('dropped_malformed');
      return;
    }
    const peer = this.#channels.get(u16(message, 0));
    if (peer === undefined) {
      this.#drop('dropped_no_channel');
      return;
    }
    this.#toPeer(peer, message.subarray(4, 4 + dataLength));
  }

  /** A Send indication that `plane.indication` has just read; borrowed. Runs for every datagram. */
  fromSendIndication(message: Uint8Array): void {
    this.#traffic.received++;
    const { indication } = this.#plane;
    let peer = this.#lastPeer;
    if (peer === null || !peer.xored.matches(message, indication.peerAt)) {
      peer = this.#peerOf(
        formatIpAddress(peerIpAt(message, indication.peerAt)),
        peerPortAt(message, indication.peerAt),
      );
      if (peer === null) return;
      this.#lastPeer = peer;
    }
    if (indication.dataLength > maxDatagramBytes) this.#drop('dropped_oversized');
    else this.#toPeer(peer, message.subarray(indication.dataAt, indication.dataAt + indication.dataLength));
  }

  /** A datagram that arrived at the relayed address; borrowed. Runs for every datagram. */
  fromRelaySocket(datagram: Uint8Array, { address, port }: TransportAddress): void {
    const peer = this.#peers.find(address, port) ?? this.#peerOf(address, port);
    if (peer !== null) this.toClient(peer, datagram);
  }

  /** Sends a peer's datagram to the client; false when it was dropped. */
  toClient(peer: Peer, datagram: Uint8Array): boolean {
    if (this.#ended) {
      this.#drop('dropped_no_allocation');
      return false;
    }
    if (!this.#passes(peer, datagram)) return false;
    const { link } = this;
    const sent =
      peer.channel === 0
        ? sendDataIndication(link, peer.xored, datagram, this.#plane.ids)
        : link.sendChannelData(peer.channel, datagram);
    if (sent) {
      this.#plane.counters.relayed_to_client++;
      this.#traffic.sent++;
    } else {
      this.#drop('dropped_backlog');
    }
    return sent;
  }

  get permissions(): number {
    return this.#permissions.size;
  }

  get channels(): number {
    return this.#channels.size;
  }

  /** How many of these addresses have no permission yet. */
  missingPermissions(addresses: readonly string[]): number {
    return new Set(addresses.filter((address) => !this.#permissions.has(address))).size;
  }

  /** Installs or refreshes; quota and policy have been asked. */
  permit(address: string, now: number): void {
    const expiresAt = now + turnLifetime.permission * 1000;
    const existing = this.#permissions.get(address);
    if (existing !== undefined) {
      existing.expiresAt = expiresAt;
      return;
    }
    const permission: Permission = { expiresAt, live: true };
    this.#permissions.set(address, permission);
    this.user.permissions++;
    this.address.permissions++;
    this.#lastPeer = null;
    for (const peer of this.#peers) if (peer.address === address) peer.permission = permission;
  }

  /** Whether the channel may be bound to this peer: neither is bound otherwise (RFC 8656 section 12.2). */
  channelFits(channel: number, peer: TransportAddress): 'new' | 'refresh' | 'conflict' {
    const bound = this.#channels.get(channel);
    const known = this.#peers.find(peer.address, peer.port);
    if (bound !== undefined) return bound === known ? 'refresh' : 'conflict';
    return known === null || known.channel === 0 ? 'new' : 'conflict';
  }

  /** Installs or refreshes the permission as well. `channelFits` has said that it may. */
  bindChannel(channel: number, address: string, port: number, now: number): void {
    this.permit(address, now);
    const peer = this.#peers.find(address, port) ?? this.#remember(address, port);
    peer.channelExpiresAt = now + turnLifetime.channel * 1000;
    if (peer.channel !== 0) return;
    peer.channel = channel;
    this.#channels.set(channel, peer);
    this.user.channels++;
    this.address.channels++;
  }

  /** Takes out what has expired. True when the allocation itself has. */
  expire(now: number): boolean {
    if (now >= this.expiresAt) return true;
    for (const [channel, peer] of this.#channels) {
      if (now >= peer.channelExpiresAt) this.#unbind(channel, peer);
    }
    for (const [address, permission] of this.#permissions) {
      if (now >= permission.expiresAt) this.#revoke(address, permission);
    }
    return false;
  }

  /** Gives everything back. The caller takes it out of the registries. */
  end(): void {
    if (this.#ended) return;
    for (const [channel, peer] of this.#channels) this.#unbind(channel, peer);
    for (const [address, permission] of this.#permissions) this.#revoke(address, permission);
    for (const peer of this.#peers) peer.path?.close();
    this.#ended = true;
    this.socket?.close();
    this.socket = null;
  }

  #toPeer(peer: Peer, datagram: Uint8Array): void {
    const plane = this.#plane;
    if (!this.#passes(peer, datagram)) return;
    if (peer.verdict === peerVerdict.sfu && plane.sfu !== null) {
      if (peer.path === null || peer.path.closed) peer.path = new TurnPath(this, peer);
      plane.counters.relayed_to_sfu++;
      plane.sfu.receive(peer.path, datagram);
    } else if (this.socket !== null) {
      plane.counters.relayed_to_peer++;
      peer.target ??= this.socket.target(peer.address, peer.port);
      peer.target.send(datagram);
    }
  }

  #drop(reason: TurnCounterName): void {
    this.#plane.counters[reason]++;
    this.#traffic.dropped++;
  }

  /** What holds in both directions: a live permission, a class that may pass, and bandwidth. */
  #passes(peer: Peer, datagram: Uint8Array): boolean {
    if (!peer.permission.live) {
      this.#drop('dropped_no_permission');
      return false;
    }
    if (datagram.length > maxDatagramBytes) {
      this.#drop('dropped_oversized');
      return false;
    }
    const kind = classifyDatagram(datagram);
    if ((kind === datagramClass.unknown || kind === datagramClass.control) && peer.verdict !== peerVerdict.exact) {
      this.#drop('dropped_class');
      return false;
    }
    if (this.#spend(datagram.length)) return true;
    this.#drop('dropped_bandwidth');
    return false;
  }

  #spend(bytes: number): boolean {
    const { user, address } = this;
    if (!user.spend(bytes)) {
      user.refill(this.#plane.now());
      if (!user.spend(bytes)) return false;
    }
    if (address.spend(bytes)) return true;
    address.refill(this.#plane.now());
    if (address.spend(bytes)) return true;
    user.giveBack(bytes);
    return false;
  }

  /** A peer that datagrams may be exchanged with, or null when that was counted and is to be dropped. */
  #peerOf(address: string, port: number): Peer | null {
    const known = this.#peers.find(address, port);
    if (known !== null) return known;
    if (!this.#permissions.has(address)) {
      this.#drop('dropped_no_permission');
      return null;
    }
    const peer = this.#make(address, port);
    if (peer.verdict === peerVerdict.refused) {
      this.#drop('dropped_peer_refused');
      return null;
    }
    // A path has to stay the same object; the SFU's addresses are few.
    if (peer.verdict === peerVerdict.sfu || this.#peers.size < maxRememberedPeers) this.#peers.add(peer);
    return peer;
  }

  #remember(address: string, port: number): Peer {
    const peer = this.#make(address, port);
    this.#peers.add(peer);
    return peer;
  }

  #make(address: string, port: number): Peer {
    return {
      address,
      port,
      xored: new XoredPeer(address, port),
      verdict: this.rules.verdict(address, port),
      permission: this.#permissions.get(address) ?? dead,
      channel: 0,
      channelExpiresAt: 0,
      path: null,
      target: null,
    };
  }

  #unbind(channel: number, peer: Peer): void {
    this.#channels.delete(channel);
    peer.channel = 0;
    this.user.channels--;
    this.address.channels--;
    if (!peer.permission.live) this.#forget(peer);
  }

  #revoke(address: string, permission: Permission): void {
    permission.live = false;
    this.#permissions.delete(address);
    this.user.permissions--;
    this.address.permissions--;
    for (const peer of [...this.#peers]) if (peer.address === address && peer.channel === 0) this.#forget(peer);
  }

  #forget(peer: Peer): void {
    // A path outlives its permission: the SFU may still hold it, and a new permission revives it.
    if (peer.path !== null) return;
    this.#peers.remove(peer.address, peer.port);
    if (this.#lastPeer === peer) this.#lastPeer = null;
  }
}

const dead: Permission = { expiresAt: 0, live: false };
