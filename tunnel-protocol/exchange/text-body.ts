/**
 * Bodies for proxies that admit text only: base64 (RFC 4648 section 4, with padding), and before it, in a request that
 * may carry no Authorization header, the resume token and a line feed.
 */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const codes = Uint8Array.from(alphabet, (letter) => letter.charCodeAt(0));
const padding = 0x3d;
const lineFeed = 0x0a;
const invalid = 0xff;
const values = new Uint8Array(256).fill(invalid);
codes.forEach((code, value) => {
  values[code] = value;
});
/** Tokens are some hundred characters long; whatever is longer is none. */
export const maxTokenBytes = 4096;
const utf8 = new TextEncoder();

/** ASCII, given away. `token` null: the request is authenticated by its header. */
export function encodeTextBody(token: string | null, body: Uint8Array): Uint8Array {
  const prefix = token === null ? new Uint8Array(0) : utf8.encode(`${token}\n`);
  const text = new Uint8Array(prefix.length + textBytes(body.length));
  text.set(prefix);
  let at = prefix.length;
  for (let i = 0; i < body.length; i += 3) {
    const left = body.length - i;
    const group =
      ((body[i] as number) << 16) | ((left > 1 ? (body[i + 1] as number) : 0) << 8) | (left > 2 ? (body[i + 2] as number) : 0); // prettier-ignore
    text[at++] = codes[group >>> 18] as number;
    text[at++] = codes[(group >>> 12) & 63] as number;
    text[at++] = left > 1 ? (codes[(group >>> 6) & 63] as number) : padding;
    text[at++] = left > 2 ? (codes[group & 63] as number) : padding;
  }
  return text;
}

/** Null when it is not base64: other characters, line breaks at the end included, or a wrong length. */
export function decodeTextBody(text: Uint8Array): { readonly token: string | null; readonly body: Uint8Array } | null {
  const end = text.subarray(0, maxTokenBytes + 1).indexOf(lineFeed);
  const token = end < 0 ? null : asciiOf(text.subarray(0, end));
  const body = decodeBase64(text.subarray(end + 1));
  return body === null ? null : { token, body };
}

/** Characters that so many bytes take. */
export function textBytes(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}

function decodeBase64(text: Uint8Array): Uint8Array | null {
  const { length } = text;
  if (length % 4 !== 0) return null;
  const padded = length > 0 && text[length - 1] === padding ? (text[length - 2] === padding ? 2 : 1) : 0;
  const body = new Uint8Array((length / 4) * 3 - padded);
  let at = 0;
  for (let i = 0; i < length; i += 4) {
    const present = i + 4 === length ? 4 - padded : 4;
    let group = 0;
    for (let j = 0; j < 4; j++) {
      const value = j < present ? (values[text[i + j] as number] as number) : 0;
      if (value === invalid) return null;
      group = (group << 6) | value;
    }
    // Bits that stand for no byte are 0, so that a body has one text only.
    if (present < 4 && (group & (present === 3 ? 0xff : 0xffff)) !== 0) return null;
    for (let shift = 16; shift >= 0 && at < body.length; shift -= 8) body[at++] = group >>> shift;
  }
  return body;
}

function asciiOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
