/** The browser's WebSocket as a control channel's tunnel. */
import type { OpenTunnelSocket, TunnelSocket } from '../control/index.ts';

export const openWebSocketTunnel: OpenTunnelSocket = (url, subprotocols) => {
  const socket = new WebSocket(url, [...subprotocols]);
  socket.binaryType = 'arraybuffer';
  const tunnel: TunnelSocket = {
    onopen: null,
    onmessage: null,
    onclose: null,
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send(message) {
      // The DOM's types want bytes that are known not to be shared memory; none of ours ever is.
      if (socket.readyState === WebSocket.OPEN) socket.send(message as Uint8Array<ArrayBuffer>);
    },
    close(code, reason) {
      // A page may close with 1000 and 3000–4999 only, and with at most 123 bytes of reason (WHATWG WebSockets).
      const allowed = code === 1000 || (code >= 3000 && code <= 4999);
      socket.close(allowed ? code : 4000, reason.slice(0, 40));
    },
  };
  socket.onopen = () => tunnel.onopen?.();
  socket.onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) tunnel.onmessage?.(new Uint8Array(data));
  };
  socket.onclose = ({ code, reason }) => tunnel.onclose?.({ wire: code, reason });
  return tunnel;
};
