/** The validator: what a decoded request asks for, or the error that answers it; and its canonical form. */
import {
  addXorAddress,
  parseIpAddress,
  stunAttribute,
  stunClass,
  StunBuilder,
  stunError,
  stunFamily,
  stunMethod,
  u16,
  xorAddressAt,
  type StunErrorCode,
  type StunMessage,
  type TransportAddress,
} from '../tunnel-protocol/index.ts';

export type Family = 'ipv4' | 'ipv6';

/** What kind of relayed address an Allocate asks for. */
export interface RelayWish {
  readonly family: Family;
  readonly evenPort: boolean;
}

export type TurnRequest =
  | ({ readonly method: 'allocate'; readonly lifetime: number | null } & RelayWish)
  | { readonly method: 'refresh'; readonly lifetime: number | null; readonly family: Family | null }
  | { readonly method: 'create-permission'; readonly peers: readonly TransportAddress[] }
  | { readonly method: 'channel-bind'; readonly channel: number; readonly peer: TransportAddress };

/**
 * Comprehension-required attributes that are understood. DONT-FRAGMENT is not among them: Node's sockets cannot be
 * told, and RFC 8656 section 7.2 then wants it answered as unknown.
 */
export const understood: ReadonlySet<number> = new Set([
  stunAttribute.USERNAME,
  stunAttribute.REALM,
  stunAttribute.NONCE,
  stunAttribute.MESSAGE_INTEGRITY,
  stunAttribute.CHANNEL_NUMBER,
  stunAttribute.LIFETIME,
  stunAttribute.XOR_PEER_ADDRESS,
  stunAttribute.DATA,
  stunAttribute.REQUESTED_ADDRESS_FAMILY,
  stunAttribute.EVEN_PORT,
  stunAttribute.REQUESTED_TRANSPORT,
  stunAttribute.RESERVATION_TOKEN,
]);

export function isTurnRequestMethod(method: number): boolean {
  return (
    method === stunMethod.Allocate ||
    method === stunMethod.Refresh ||
    method === stunMethod.CreatePermission ||
    method === stunMethod.ChannelBind
  );
}

const protocolUdp = 17;
/** The R bit of EVEN-PORT. */
const reserveNext = 0x80;
/**
 * RFC 8656 section 12 ends at 0x4FFF, so that ChannelData can share a port with what RFC 7983 lists. Nothing else is
 * on TURN's ports, and clients of RFC 5766 (coturn's own among them) choose from the whole of its range.
 */
export const channelNumbers = { min: 0x4000, max: 0x7fff } as const;
const { badRequest } = stunError;

/** Of one of the four methods; everything that depends on the message alone is checked here. */
export function readTurnRequest(message: StunMessage): TurnRequest | StunErrorCode {
  switch (message.method) {
    case stunMethod.Allocate:
      return readAllocate(message);
    case stunMethod.Refresh:
      return readRefresh(message);
    case stunMethod.CreatePermission: {
      const peers = readPeers(message);
      return peers === null || peers.length === 0 ? badRequest : { method: 'create-permission', peers };
    }
    case stunMethod.ChannelBind:
      return readChannelBind(message);
    default:
      return badRequest;
  }
}

/** RFC 8656 section 7.2, in its order. */
function readAllocate(message: StunMessage): TurnRequest | StunErrorCode {
  const transport = message.value(stunAttribute.REQUESTED_TRANSPORT);
  if (transport?.length !== 4) return badRequest;
  if (transport[0] !== protocolUdp) return stunError.unsupportedTransportProtocol;
  const evenPort = message.value(stunAttribute.EVEN_PORT);
  const token = message.value(stunAttribute.RESERVATION_TOKEN);
  const hasFamily = message.has(stunAttribute.REQUESTED_ADDRESS_FAMILY);
  if (token !== null) {
    if (token.length !== 8 || evenPort !== null || hasFamily) return badRequest;
    // Nothing is ever reserved, so no token is valid.
    return stunError.insufficientCapacity;
  }
  const family = hasFamily ? readFamily(message) : 'ipv4';
  if (family === 'malformed') return badRequest;
  if (family === null) return stunError.addressFamilyNotSupported;
  const lifetime = readLifetime(message);
  if (lifetime === 'malformed' || (evenPort !== null && evenPort.length !== 1)) return badRequest;
  // An even port can be had, but no port is ever reserved for somebody to come.
  if (evenPort !== null && ((evenPort[0] as number) & reserveNext) !== 0) return stunError.insufficientCapacity;
  return { method: 'allocate', lifetime, family, evenPort: evenPort !== null };
}

function readRefresh(message: StunMessage): TurnRequest | StunErrorCode {
  const family = message.has(stunAttribute.REQUESTED_ADDRESS_FAMILY) ? readFamily(message) : null;
  const lifetime = readLifetime(message);
  if (lifetime === 'malformed' || family === 'malformed') return badRequest;
  if (family === null && message.has(stunAttribute.REQUESTED_ADDRESS_FAMILY)) return badRequest;
  return { method: 'refresh', lifetime, family };
}

function readChannelBind(message: StunMessage): TurnRequest | StunErrorCode {
  const channel = message.value(stunAttribute.CHANNEL_NUMBER);
  const peer = readPeers(message)?.[0];
  if (channel?.length !== 4 || peer === undefined) return badRequest;
  const number = u16(channel, 0);
  if (number < channelNumbers.min || number > channelNumbers.max) return badRequest;
  return { method: 'channel-bind', channel: number, peer };
}

/** Null when one of them is malformed. */
function readPeers(message: StunMessage): TransportAddress[] | null {
  const peers: TransportAddress[] = [];
  for (let at = message.first(); at !== -1; at = message.after(at)) {
    if (message.typeAt(at) !== stunAttribute.XOR_PEER_ADDRESS) continue;
    const peer = xorAddressAt(message, at);
    if (peer === null) return null;
    peers.push(peer);
  }
  return peers;
}

function readLifetime(message: StunMessage): number | null | 'malformed' {
  if (!message.has(stunAttribute.LIFETIME)) return null;
  return message.u32(stunAttribute.LIFETIME) ?? 'malformed';
}

/** Null for a family that does not exist. */
function readFamily(message: StunMessage): Family | null | 'malformed' {
  const value = message.value(stunAttribute.REQUESTED_ADDRESS_FAMILY);
  if (value?.length !== 4) return 'malformed';
  return value[0] === stunFamily.ipv4 ? 'ipv4' : value[0] === stunFamily.ipv6 ? 'ipv6' : null;
}

export function familyOf(address: string): Family | null {
  const length = parseIpAddress(address)?.length;
  return length === 4 ? 'ipv4' : length === 16 ? 'ipv6' : null;
}

/** The request with nothing in it but what was understood, for node-turn. */
export function encodeCanonical(request: TurnRequest, transactionId: Uint8Array): Uint8Array {
  switch (request.method) {
    case 'allocate': {
      const builder = new StunBuilder(stunClass.request, stunMethod.Allocate, transactionId);
      builder.u32(stunAttribute.REQUESTED_TRANSPORT, protocolUdp << 24);
      return withLifetime(builder, request.lifetime).take();
    }
    case 'refresh':
      return withLifetime(
        new StunBuilder(stunClass.request, stunMethod.Refresh, transactionId),
        request.lifetime,
      ).take();
    case 'create-permission': {
      const builder = new StunBuilder(stunClass.request, stunMethod.CreatePermission, transactionId);
      for (const peer of request.peers) addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, peer);
      return builder.take();
    }
    case 'channel-bind': {
      const builder = new StunBuilder(stunClass.request, stunMethod.ChannelBind, transactionId);
      builder.u32(stunAttribute.CHANNEL_NUMBER, request.channel * 65_536);
      addXorAddress(builder, stunAttribute.XOR_PEER_ADDRESS, request.peer);
      return builder.take();
    }
  }
}

function withLifetime(builder: StunBuilder, lifetime: number | null): StunBuilder {
  return lifetime === null ? builder : builder.u32(stunAttribute.LIFETIME, lifetime);
}
