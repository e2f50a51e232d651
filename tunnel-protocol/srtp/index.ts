export { srtpCryptoFrom, type AesGcm, type SrtpNodeCrypto, type SrtpCrypto } from './crypto.ts';
export {
  createSrtpCounters,
  isSrtpError,
  srtpError,
  srtpErrorName,
  type SrtpCounters,
  type SrtpError,
  type SrtpErrorName,
} from './errors.ts';
export { SrtpEngine, type SrtpWasm } from './engine.ts';
export type { BindNativeCiphers, NativeBlockCipher, NativeCiphers, NativeGcm } from './native-ciphers.ts';
export type { SrtpKeyMaterial, SrtpProfile } from './keys.ts';
export { PacketSlab } from './packet-slab.ts';
export { ReplayWindow, windowVerdict, type WindowVerdict } from './replay-window.ts';
export { SrtpSession, srtpLimits, type SrtpLimits } from './session.ts';
export type { SrtpTransform } from './transform.ts';
