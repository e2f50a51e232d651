/** The demo page: from the link and the form to a call, and back. */
import { ClientError } from '../errors.ts';
import { callLink, readLink, withTokenInFragment } from '../page-model/link.ts';
import { wordsForError, wordsForLostRung, wordsForRung } from '../page-model/words.ts';
import type { LostRungCode } from '../page-model/words.ts';
import { join } from './browser-call.ts';
import type { BrowserCall, JoinStep } from './browser-call.ts';
import type { CallView } from './call-view.ts';
import { Controls } from './controls.ts';
import { LocalDevices } from './devices.ts';
import type { DeviceKind } from './devices.ts';
import { JoinView } from './join-view.ts';
import { missingFor } from './media-support.ts';
import { recall, remember } from './memory.ts';
import { announce, clearNotice, clearNotices, notify } from './notices.ts';
import type { StripView } from './strip-view.ts';

declare global {
  interface Window {
    /** The call of this page while there is one, for tests and for support in the browser's console. */
    sallyportCall: BrowserCall | null;
  }
}

const stepTexts: Readonly<Record<JoinStep, string>> = {
  session: 'Asking the server…',
  control: 'Opening the control channel…',
  negotiation: 'Joining the room…',
  media: 'Connecting sound and picture…',
};
/** A lost control channel usually comes back before anybody notices. */
const controlPatienceMs = 2_500;
/** How long a lost call is tried to be joined again, and about how long between two tries. */
const rejoinMs = 30_000;
const rejoinPauseMs = 500;

window.sallyportCall = null;
if (readLink(location.href).tokenInQuery) history.replaceState(null, '', withTokenInFragment(location.href));
const link = readLink(location.href);
const devices = new LocalDevices();
/** A link with `join=1` wants both devices, whatever was chosen before; what is chosen in the call counts again. */
let atOnce = link.join;
const joinView = new JoinView(devices);
/** Loaded beside the form, so that it is there when a call stands. */
const callView = import('./call-view.ts');
callView.catch(() => undefined);
/** Loaded beside the form: nothing of it is needed before a call stands, and without it a call goes on. */
const strip = import('./strip-view.ts').then(
  (part) => new part.StripView(),
  () => null,
);

joinView.on('join', ({ name, room }) => void enter(name, room));
window.addEventListener('pagehide', () => void window.sallyportCall?.leave());
open();

function open(): void {
  const remembered = recall();
  joinView.open(link.room || remembered.room, link.name || remembered.name);
  const words = wordsForRung(link.rung, link.unknownRung, missingFor(link.rung));
  if (words !== null) {
    joinView.problem(words, letPageChoose());
  } else if (link.join) {
    void enter(link.name || remembered.name || 'Guest', link.room);
  }
}

async function enter(name: string, room: string): Promise<void> {
  remember({ name, room });
  joinView.problem(null);
  joinView.busy('Turning on camera and microphone…');
  await turnOnDevices();
  try {
    const call = await join(location.origin, {
      room,
      name,
      ...(link.token === '' ? {} : { token: link.token }),
      ...(link.rung === null ? {} : { rungs: [link.rung] }),
      onStep: (step) => {
        joinView.busy(stepTexts[step]);
      },
    });
    const { CallView } = await callView.catch((error: unknown) => {
      void call.leave();
      throw error;
    });
    history.replaceState(null, '', callLink(location.href, room));
    hold(call, room, CallView);
  } catch (error) {
    joinView.busy(null);
    if (link.rung !== null && isOfRung(error))
      joinView.problem(wordsForLostRung(link.rung, error.code), letPageChoose());
    else joinView.problem(wordsOf(error));
  }
}

function letPageChoose(): { label: string; href: string } {
  const plain = new URL(location.href);
  plain.searchParams.delete('rung');
  return { label: 'Join by the best way instead', href: plain.href };
}

function isOfRung(error: unknown): error is ClientError & { code: LostRungCode } {
  return error instanceof ClientError && (error.code === 'rung-unavailable' || error.code === 'media-unreachable');
}

/** Those that are wanted and not on yet. One that fails is said, and the call goes on without it. */
async function turnOnDevices(): Promise<void> {
  const { camera, microphone, cameraOn, microphoneOn } = recall();
  const both = atOnce;
  atOnce = false;
  const wanted: DeviceKind[] = [];
  if ((cameraOn || both) && devices.track('camera') === null) wanted.push('camera');
  if ((microphoneOn || both) && devices.track('microphone') === null) wanted.push('microphone');
  for (const { words } of await devices.turnOn(wanted, { camera, microphone })) notify(words, { tone: 'warning' });
}

function onStrip(work: (view: StripView) => void): void {
  void strip.then((view) => {
    if (view !== null) work(view);
  });
}

/**
 * The session is gone, with the SFU node that had it, and the room is joined again by whichever edge answers; true if that
 * worked. The devices stay on meanwhile.
 */
async function joinAgain(
  lost: BrowserCall,
  room: string,
  View: typeof CallView,
  microphoneMuted: boolean,
): Promise<boolean> {
  notify(
    { title: 'The server of this call is gone.', advice: 'Joining again; there is nothing for you to do.' },
    { key: 'rejoin', tone: 'warning' },
  );
  const { edges, resumeToken, self } = lost;
  const until = performance.now() + rejoinMs;
  for (let attempt = 0; performance.now() < until; attempt++) {
    try {
      const call = await join(edges[attempt % edges.length] ?? location.origin, {
        room,
        name: self.name,
        rejoin: resumeToken,
        ...(link.token === '' ? {} : { token: link.token }),
        ...(link.rung === null ? {} : { rungs: [link.rung] }),
      });
      clearNotice('rejoin');
      hold(call, room, View, microphoneMuted);
      return true;
    } catch (error) {
      if (error instanceof ClientError && error.code.startsWith('token-')) break;
    }
    await new Promise((resolve) => setTimeout(resolve, rejoinPauseMs * (0.5 + Math.random())));
  }
  clearNotice('rejoin');
  return false;
}

function hold(call: BrowserCall, room: string, View: typeof CallView, microphoneMuted = false): void {
  window.sallyportCall = call;
  joinView.close();
  const view = new View(call, room);
  const controls = new Controls(call, devices, view);
  onStrip((view) => {
    view.begin(call);
  });
  announce(`You are in the room ${room}.`);
  void controls.begin(microphoneMuted);

  let controlTimer: number | undefined;
  call.on('stats', () => {
    onStrip((view) => {
      view.update();
    });
  });
  call.on('rung', (change) => {
    onStrip((view) => {
      view.rungChanged(change);
    });
  });
  call.on('media', ({ connected }) => {
    onStrip((view) => {
      view.mediaChanged(connected);
    });
    if (connected) clearNotice('media');
    else {
      notify(
        { title: 'Sound and picture are interrupted.', advice: 'Connecting again; there is nothing for you to do.' },
        { key: 'media', tone: 'warning' },
      );
    }
  });
  call.on('control', ({ connected }) => {
    clearTimeout(controlTimer);
    if (connected) {
      clearNotice('control');
      return;
    }
    controlTimer = setTimeout(() => {
      notify(
        { title: 'The server is out of reach.', advice: 'Trying again. What you see and hear may go on meanwhile.' },
        { key: 'control', tone: 'warning' },
      );
    }, controlPatienceMs);
  });
  call.on('closed', ({ error }) => {
    clearTimeout(controlTimer);
    clearNotices();
    const wasMuted = controls.microphoneMuted;
    controls.close();
    view.close();
    if (error?.code === 'session-lost') {
      void joinAgain(call, room, View, wasMuted).then((isBack) => {
        if (!isBack) end(call, room, error);
      });
    } else end(call, room, error);
  });
}

function end(call: BrowserCall, room: string, error: ClientError | null): void {
  devices.turnOff('camera');
  devices.turnOff('microphone');
  window.sallyportCall = null;
  joinView.open(room, call.self.name);
  if (error !== null) joinView.problem(wordsOf(error));
  else announce('You left the call.');
}

function wordsOf(error: unknown): { title: string; advice: string } {
  if (error instanceof ClientError) return wordsForError(error.code, error.message);
  return { title: 'The call could not be made.', advice: error instanceof Error ? error.message : String(error) };
}
