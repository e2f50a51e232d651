/** ClientHello and ServerHello as far as DTLS-SRTP needs them (RFC 5246 section 7.4.1, RFC 5764, RFC 7627). */
import { Reader } from './reader.ts';

export const dtls12 = 0xfefd;

export const cipherSuite = { ecdheEcdsaAes128Gcm: 0xc02b, ecdheRsaAes128Gcm: 0xc02f } as const;
export const namedGroup = { secp256r1: 23, x25519: 29 } as const;
export const signatureScheme = { rsaPkcs1Sha256: 0x0401, ecdsaSecp256r1Sha256: 0x0403 } as const;
/** RFC 5764 section 4.1.2, RFC 7714 section 14.2. */
export const srtpProfileId = { aes128CmSha1Tag80: 1, aeadAes128Gcm: 7 } as const;
export const extensionType = {
  supportedGroups: 10,
  signatureAlgorithms: 13,
  useSrtp: 14,
  extendedMasterSecret: 23,
  renegotiationInfo: 0xff01,
} as const;

export interface ClientHello {
  readonly version: number;
  readonly cookie: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly compressionMethods: readonly number[];
  readonly groups: readonly number[];
  readonly signatureSchemes: readonly number[];
  readonly srtpProfiles: readonly number[];
  readonly extendedMasterSecret: boolean;
}

export interface ServerHello {
  readonly version: number;
  readonly random: Uint8Array;
  readonly cipherSuite: number;
  readonly compressionMethod: number;
  /** In order; a type that comes twice is here twice. */
  readonly extensionTypes: readonly number[];
  readonly srtpProfiles: readonly number[];
}

const randomBytes = 32;
const maxSessionIdBytes = 32;

/** Null when the body is not exactly a ClientHello. Extensions that are not needed are passed over. */
export function decodeClientHello(body: Uint8Array): ClientHello | null {
  const reader = new Reader(body);
  const version = reader.u16();
  reader.bytes(randomBytes);
  const sessionIdBytes = reader.u8();
  reader.bytes(sessionIdBytes);
  const cookie = reader.bytes(reader.u8());
  const cipherSuites = reader.u16List(reader.u16());
  const compressionMethods = [...reader.bytes(reader.u8())];
  const extensions = readExtensions(reader);
  if (extensions === null || sessionIdBytes > maxSessionIdBytes) return null;
  const groups = readListExtension(extensions.get(extensionType.supportedGroups));
  const signatureSchemes = readListExtension(extensions.get(extensionType.signatureAlgorithms));
  const srtpProfiles = readUseSrtp(extensions.get(extensionType.useSrtp));
  if (groups === null || signatureSchemes === null || srtpProfiles === null) return null;
  const extendedMasterSecret = extensions.get(extensionType.extendedMasterSecret)?.length === 0;
  return {
    version,
    cookie,
    cipherSuites,
    compressionMethods,
    groups,
    signatureSchemes,
    srtpProfiles,
    extendedMasterSecret,
  };
}

/** Null when the body is not exactly a ServerHello, or repeats an extension. */
export function decodeServerHello(body: Uint8Array): ServerHello | null {
  const reader = new Reader(body);
  const version = reader.u16();
  const random = reader.bytes(randomBytes);
  const sessionIdBytes = reader.u8();
  reader.bytes(sessionIdBytes);
  const cipherSuite = reader.u16();
  const compressionMethod = reader.u8();
  const extensions = readExtensions(reader);
  if (extensions === null || sessionIdBytes > maxSessionIdBytes) return null;
  const srtpProfiles = readUseSrtp(extensions.get(extensionType.useSrtp));
  if (srtpProfiles === null) return null;
  return { version, random, cipherSuite, compressionMethod, extensionTypes: [...extensions.keys()], srtpProfiles };
}

/** The rest of a hello; null when it is malformed or a type comes twice (RFC 5246 section 7.4.1.4). */
function readExtensions(reader: Reader): Map<number, Uint8Array> | null {
  const extensions = new Map<number, Uint8Array>();
  if (reader.complete()) return extensions;
  const list = new Reader(reader.bytes(reader.u16()));
  while (list.more()) {
    const type = list.u16();
    if (extensions.has(type)) return null;
    extensions.set(type, list.bytes(list.u16()));
  }
  return reader.complete() && list.complete() ? extensions : null;
}

/** A 16-bit byte length and 16-bit values; empty for an absent extension, null for a malformed one. */
function readListExtension(data: Uint8Array | undefined): number[] | null {
  if (data === undefined) return [];
  const reader = new Reader(data);
  const values = reader.u16List(reader.u16());
  return reader.complete() ? values : null;
}

/** The profiles; null for a malformed extension. A master key identifier is ignored: RFC 8827 has none. */
function readUseSrtp(data: Uint8Array | undefined): number[] | null {
  if (data === undefined) return [];
  const reader = new Reader(data);
  const profiles = reader.u16List(reader.u16());
  reader.bytes(reader.u8());
  return reader.complete() ? profiles : null;
}
