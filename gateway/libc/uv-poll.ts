/**
 * Watching a descriptor by libuv's own uv_poll_t, which Node exports for native add-ons (stable through libuv 1.x). koffi
 * has `node.poll` for it; that makes an object with three properties for each call, at 1 µs more.
 */
import type * as KoffiModule from 'koffi';
import type { Watch } from './libc.ts';

type Koffi = typeof KoffiModule;

const pollHandleType = 8;
const readable = 1;

/** Throws where Node was built without these symbols. Only for the main thread. */
export function bindUvPoll(
  koffi: Koffi,
  addressOf: (bytes: Uint8Array) => number,
): (fd: number, onReadable: () => void) => Watch | null {
  const node = koffi.load(null);
  const callback = koffi.pointer(koffi.proto('void (uintptr_t handle, int status, int events)'));
  const defaultLoop: () => number = node.func('uintptr_t uv_default_loop()');
  const handleSize: (type: number) => number = node.func('size_t uv_handle_size(int type)');
  const init: (loop: number, handle: number, fd: number) => number = node.func(
    'int uv_poll_init(uintptr_t loop, uintptr_t handle, int fd)',
  );
  const start: (handle: number, events: number, callback: unknown) => number = node.func(
    'int uv_poll_start(uintptr_t handle, int events, void *callback)',
  );
  const ref: (handle: number) => void = node.func('void uv_ref(uintptr_t handle)');
  const unref: (handle: number) => void = node.func('void uv_unref(uintptr_t handle)');
  return (fd, onReadable) => {
    const memory = new Uint8Array(new ArrayBuffer(handleSize(pollHandleType)));
    const handle = addressOf(memory);
    if (init(defaultLoop(), handle, fd) !== 0 || start(handle, readable, koffi.register(onReadable, callback)) !== 0) {
      return null;
    }
    kept.push(memory);
    return {
      ref: () => {
        ref(handle);
      },
      unref: () => {
        unref(handle);
      },
    };
  };
}

/** libuv holds their addresses for as long as the process lives. */
const kept: Uint8Array[] = [];
