/** Datagrams that anybody could send, or change on their way. */

/** One record without protection, whatever its epoch says. */
export function forgeRecord(type: number, payload: Uint8Array, epoch = 0, sequence = 1000): Uint8Array {
  const record = Buffer.alloc(13 + payload.length);
  record.writeUInt8(type, 0);
  record.writeUInt16BE(0xfefd, 1);
  record.writeUInt16BE(epoch, 3);
  record.writeUIntBE(sequence, 5, 6);
  record.writeUInt16BE(payload.length, 11);
  record.set(payload, 13);
  return record;
}

/** A whole handshake message in one record. */
export function forgeHandshake(type: number, sequence: number, body: Uint8Array): Uint8Array {
  const message = Buffer.alloc(12 + body.length);
  message.writeUInt8(type, 0);
  message.writeUIntBE(body.length, 1, 3);
  message.writeUInt16BE(sequence, 4);
  message.writeUIntBE(body.length, 9, 3);
  message.set(body, 12);
  return forgeRecord(22, message);
}

/** Changes the body of one type of message wherever it is not protected. */
export function edited(type: number, edit: (body: Buffer) => unknown): (datagram: Uint8Array) => void {
  return (datagram) => {
    const view = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    for (let at = 0; at < view.length; at += 13 + view.readUInt16BE(at + 11)) {
      const isType = view[at] === 22 && view.readUInt16BE(at + 3) === 0 && view[at + 13] === type;
      if (isType) edit(view.subarray(at + 25, at + 13 + view.readUInt16BE(at + 11)));
    }
  };
}

/** Puts other bytes of the same length, in hex, in the place of the first that are found. */
export function replaced(from: string, to: string): (body: Buffer) => void {
  return (body) => {
    const at = body.indexOf(from, 0, 'hex');
    if (at >= 0) body.set(Buffer.from(to, 'hex'), at);
  };
}
