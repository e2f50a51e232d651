/**
 * Keeps the tunnel ready while media is on the browser's own WebRTC, and moves media there as soon as that has gone silent.
 * Loaded when the call stands.
 */
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { ControlClient } from '../control/index.ts';
import { NativeSilence } from '../page-model/native-silence.ts';
import type { MediaConnection } from './media-connection.ts';
import type { MediaRoutes } from './media-routes.ts';

const lookMs = 100;
const reportMs = 250;
/** The join and what follows it is over by then. */
const standbyAfterMs = 3_000;
/** A tunnel for media that does not come up, or is lost, is tried again so often. */
const standbyAgainMs = 10_000;
/** Before anything is moved the browser's own figures are looked at twice, so far apart: nothing at all must have come. */
const confirmMs = 150;
/** Once they have shown that something comes, which nobody hears or sees, they are left alone for so long. */
const trustMs = 2_000;
const mids = [...audioSlotMids, ...videoSlotMids];

/** Until what it returns is called. */
export function watchNative(routes: MediaRoutes, control: ControlClient): () => void {
  const silence = new NativeSilence();
  let nextReportAt = 0;
  let standbyAt = performance.now() + standbyAfterMs;
  let confirming = false;
  let trustedUntil = 0;

  const confirm = async (native: MediaConnection): Promise<void> => {
    confirming = true;
    const before = await packetsOf(native);
    await new Promise((resolve) => setTimeout(resolve, confirmMs));
    const isSilent = (await packetsOf(native)) === before;
    confirming = false;
    trustedUntil = isSilent ? 0 : performance.now() + trustMs;
    const mayMove = routes.native === native && routes.active === 'native' && routes.tunnel?.state === 'connected';
    if (isSilent && mayMove) await routes.activate('tunnel', 'rung-failed').catch(() => undefined);
  };

  const look = (): void => {
    const now = performance.now();
    const { native } = routes;
    if (routes.active !== 'native' || native === null) {
      silence.heard(now);
      standbyAt = now + standbyAfterMs;
      return;
    }
    if (routes.tunnel === null && now >= standbyAt) {
      standbyAt = now + standbyAgainMs;
      routes.startTunnel().catch(() => undefined);
    }
    if (now >= nextReportAt) {
      nextReportAt = now + reportMs;
      // What this side has counted takes a look at the statistics; it is asked for the server's figures alone.
      control.sendReport({ nomination: 0, time: Math.floor(now) >>> 0, ...nothing });
    }
    const isSilent = silence.look(lastHeard(native), now);
    if (isSilent && !confirming && now >= trustedUntil) void confirm(native);
  };

  const timer = setInterval(look, lookMs);
  const stopListening = control.on('report', (report) => {
    silence.reported(report);
  });
  return () => {
    clearInterval(timer);
    stopListening();
  };
}

const nothing = { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 };

/** Changes when sound was heard or a picture shown. */
function lastHeard(native: MediaConnection): number {
  let latest = 0;
  for (const mid of mids) {
    for (const { timestamp } of native.receiver(mid)?.getSynchronizationSources() ?? []) {
      latest = Math.max(latest, timestamp);
    }
  }
  return latest;
}

/** All that came: reports of the server too, and sound that no element plays, which is not heard although it comes. */
async function packetsOf({ peer }: MediaConnection): Promise<number> {
  let packets = 0;
  const report = (await peer.getStats()) as ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  report.forEach(({ type, packetsReceived }) => {
    const counts = type === 'transport' || type === 'inbound-rtp';
    if (counts && typeof packetsReceived === 'number') packets += packetsReceived;
  });
  return packets;
}
