/** Problems in plain words: what happened, and what to do. Never a code alone. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientErrorCode } from '../errors.ts';
import { rungNames } from './ladder-words.ts';

export interface Words {
  readonly title: string;
  readonly advice: string;
}

/** For those who join through the page; the sentences of errors.ts are for developers. */
const ofError: Partial<Record<ClientErrorCode, Words>> = {
  'edge-unreachable': {
    title: 'The server cannot be reached.',
    advice: 'Check that you are online. If other pages work, the server may be down: try again in a minute.',
  },
  'edge-not-sallyport': {
    title: 'Something other than the server answered.',
    advice: 'You may be behind a sign-in page, as in hotels. Open any website, sign in, then try again.',
  },
  'token-missing': {
    title: 'This server admits invited people only.',
    advice: 'Open the invitation link that you were sent, or ask whoever invited you for one.',
  },
  'token-invalid': {
    title: 'Your invitation is not valid here.',
    advice: 'The link may be cut off or belong to another server. Ask for a new one.',
  },
  'token-expired': { title: 'Your invitation has expired.', advice: 'Ask for a new link.' },
  'token-wrong-room': {
    title: 'Your invitation is for another room.',
    advice: 'Use the room name from the invitation, or ask for a link to this room.',
  },
  'room-full': { title: 'The room is full.', advice: 'Try again when somebody has left.' },
  'edge-draining': {
    title: 'This server is being taken down for maintenance.',
    advice: 'Try again in a minute. You will be brought to another one if there is one.',
  },
  forbidden: { title: 'Your invitation does not allow this.', advice: 'Ask for a link with this permission.' },
  'media-unreachable': {
    title: 'Sound and picture cannot get through.',
    advice:
      'The server answers, but this network lets neither UDP nor TCP nor TURN through to it. ' +
      'Try another network, such as a phone’s hotspot, or ask your network team to open the server’s ports.',
  },
  'rung-unavailable': {
    title: 'That way of connecting is not to be had here.',
    advice: 'Join without the “rung” setting in the address: the page then finds the best way by itself.',
  },
  'connection-lost': {
    title: 'The connection was lost.',
    advice: 'Check your network, then join again. Your camera and microphone are off.',
  },
  'session-lost': { title: 'The server no longer knows this call.', advice: 'It may have restarted. Join again.' },
  'session-ended': { title: 'The server ended the call.', advice: 'Join again if you did not expect that.' },
  kicked: { title: 'You were removed from the room.', advice: 'A moderator did this. Ask them before joining again.' },
  replaced: {
    title: 'You joined from somewhere else.',
    advice: 'The call goes on there. Join again to bring it here.',
  },
  'version-unsupported': {
    title: 'The page and the server do not fit together.',
    advice: 'Reload the page. If that does not help, tell whoever runs the server.',
  },
  'no-reply': { title: 'The server does not answer.', advice: 'It may be overloaded. Try again in a minute.' },
  'bad-answer': {
    title: 'The page and the server do not understand each other.',
    advice: 'Reload the page. If that does not help, tell whoever runs the server.',
  },
  'handshake-failed': {
    title: 'A secure connection for sound and picture could not be made.',
    advice: 'Try again. If it happens again, this network may tamper with the traffic: use another one.',
  },
};

/** Errors without words of their own say what they are, so that support can tell. */
export function wordsForError(code: ClientErrorCode, message: string): Words {
  return ofError[code] ?? { title: 'The call could not be made.', advice: message };
}

export type Device = 'camera' | 'microphone' | 'screen';

/** `name` is that of the DOMException which getUserMedia or getDisplayMedia rejected with. */
export function wordsForDevice(device: Device, name: string): Words {
  const the = device === 'screen' ? 'the screen' : `the ${device}`;
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return device === 'screen'
        ? {
            title: 'The screen is not shared.',
            advice: 'You closed the choice, or the system does not let the browser record the screen.',
          }
        : {
            title: `The browser may not use ${the}.`,
            advice: `To allow it, use the icon beside the page’s address, then turn ${the} on. You can take part without it.`,
          };
    case 'NotFoundError':
    case 'OverconstrainedError':
      return {
        title: `There is no ${device}.`,
        advice: 'Plug one in, then turn it on here. You can take part without it.',
      };
    case 'NotReadableError':
    case 'AbortError':
      return {
        title: `Another program uses ${the}.`,
        advice: `Close that program, then turn ${the} on here. You can take part without it.`,
      };
    case 'InsecureContext':
      return {
        title: 'Browsers give camera and microphone to secure pages only.',
        advice: 'Open this page by its https:// address. You can listen and watch without them.',
      };
    default:
      return { title: `Turning ${the} on failed.`, advice: `The browser says: ${name}. You can take part without it.` };
  }
}

/** Said before joining when a link asks for a rung that the page does not have; null when the page can follow it. */
export function wordsForRung(rung: Rung | null, unknownRung: string | null, missing = ''): Words | null {
  if (unknownRung !== null) {
    return {
      title: `The address asks for a rung named “${unknownRung}”, which does not exist.`,
      advice: 'Remove “rung” from the address to let the page choose.',
    };
  }
  if (rung === null || missing === '') return null;
  return {
    title: `The address asks for the rung “${rung}”, for which this browser lacks ${missing}.`,
    advice: 'Remove “rung” from the address to let the page choose.',
  };
}

/** Errors of a join that may come of the one rung that a link allows. */
export type LostRungCode = 'rung-unavailable' | 'media-unreachable';

/** Said when joining by the only rung that the link allows has failed. */
export function wordsForLostRung(rung: Rung, code: LostRungCode): Words {
  if (code === 'rung-unavailable') {
    return {
      title: `The address asks for the rung “${rung}”, which this server does not offer.`,
      advice: 'Remove “rung” from the address to let the page choose.',
    };
  }
  return {
    title: `Sound and picture cannot get through by ${rungNames[rung]}.`,
    advice:
      `The address allows only the rung “${rung}”, and this network, or the server, does not let it through. ` +
      'Remove “rung” from the address to let the page choose.',
  };
}
