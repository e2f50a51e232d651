/** What the doctor's page says: one sentence for all, a word for each rung, and what was seen of the network. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { DoctorReport, RungOutcome, RungVerdict } from '../doctor/types.ts';
import type { Words } from './words.ts';
import { rungNames } from './ladder-words.ts';

export type Tone = 'good' | 'fair' | 'bad' | 'unknown';

export const outcomeWords: Readonly<Record<RungOutcome, string>> = {
  works: 'Works',
  blocked: 'Blocked',
  'not-offered': 'Not offered',
  untested: 'Not tested',
};

/** What each rung is, for people who are no network engineers. */
export const rungLeads: Readonly<Record<Rung, string>> = {
  udp: 'Straight to the media server; the best there is',
  'turn-udp': 'Through a relay, still without delays of TCP',
  'ice-tcp': 'Straight to the media server by TCP',
  'turn-tcp': 'Through a relay, by TCP',
  'turn-tls': 'Through a relay, inside TLS',
  websocket: 'Inside one web connection',
  'http-stream': 'Inside a download and uploads',
  'long-poll': 'Inside ordinary web requests; passes nearly everywhere',
};

export function headline(report: Pick<DoctorReport, 'rungs' | 'problem' | 'network'>): Words & { readonly tone: Tone } {
  const best = report.rungs.find(({ outcome }) => outcome === 'works');
  if (best?.rung === 'udp') {
    return { tone: 'good', title: 'Calls work here, in the best way there is', advice: 'Nothing has to be changed.' };
  }
  if (best !== undefined) {
    return {
      tone: 'fair',
      title: `Calls work here, by ${rungNames[best.rung]}`,
      advice: 'They would be better by a more direct way; the text below says what to open.',
    };
  }
  if (report.network.captivePortal) {
    return { tone: 'bad', title: 'A sign-in page answers here', advice: 'Sign in to this network, then test again.' };
  }
  if (report.problem !== null) {
    return { tone: 'bad', title: 'The server could not be asked', advice: report.problem.message };
  }
  return {
    tone: 'bad',
    title: 'Calls do not work here',
    advice: 'Nothing that carries sound and picture gets through. The text below is for who runs this network.',
  };
}

export interface NetworkLine {
  readonly name: string;
  readonly tone: Tone;
  readonly text: string;
}

export function networkLines({ network, rungs }: Pick<DoctorReport, 'network' | 'rungs'>): readonly NetworkLine[] {
  const outcomeOf = (rung: Rung): RungOutcome => rungs.find((verdict) => verdict.rung === rung)?.outcome ?? 'untested';
  const ipv6 = {
    works: { tone: 'good', text: 'works to the server' },
    'edge-has-none': { tone: 'unknown', text: 'the server has no such address' },
    'not-from-here': { tone: 'fair', text: 'does not get through from here' },
    unknown: { tone: 'unknown', text: 'could not be found out' },
  } as const;
  const lines: NetworkLine[] = [
    { name: 'UDP', ...passes([outcomeOf('udp'), outcomeOf('turn-udp')], 'passes', 'is blocked') },
    network.upgradeStripped
      ? { name: 'WebSocket', tone: 'bad', text: 'is blocked, though HTTP passes: Upgrade is taken out' }
      : { name: 'WebSocket', ...passes([outcomeOf('websocket')], 'passes', 'is blocked') },
    network.buffering
      ? { name: 'Answers', tone: 'fair', text: 'are held back until they are complete' }
      : {
          name: 'Answers',
          ...passes([outcomeOf('http-stream')], 'arrive as they are sent', 'of streams do not arrive'),
        },
    network.captivePortal
      ? { name: 'Sign-in page', tone: 'bad', text: 'somebody else answers in place of the server' }
      : {
          name: 'Sign-in page',
          ...passes([rungs.every(({ outcome }) => outcome === 'untested') ? 'untested' : 'works'], 'none', ''),
        },
    { name: 'IPv6', ...ipv6[network.ipv6] },
  ];
  if (network.via !== null) lines.push({ name: 'Proxy', tone: 'fair', text: `named itself: ${network.via}` });
  if (network.seenAs !== null) lines.push({ name: 'Seen as', tone: 'unknown', text: network.seenAs });
  return lines;
}

/** Errors whose sentences are for developers; the page's reader gets these. */
const reasons: Readonly<Record<string, string>> = {
  'media-unreachable': 'No answer came this way',
  'edge-unreachable': 'It did not open in time',
  'no-reply': 'The server did not answer in time',
  'handshake-failed': 'It opens, but the handshake does not get through',
  'upgrade-stripped': 'The Upgrade to WebSocket is taken out of requests',
  buffered: 'Answers are held back until they are complete',
};

/** Why a way does not work; empty where it does. */
export function reasonOf({ outcome, code, detail }: RungVerdict): string {
  if (outcome === 'works') return '';
  return reasons[code ?? ''] ?? detail ?? '';
}

function passes(outcomes: readonly RungOutcome[], yes: string, no: string): Pick<NetworkLine, 'tone' | 'text'> {
  if (outcomes.includes('works')) return { tone: 'good', text: yes };
  if (outcomes.includes('blocked')) return { tone: 'bad', text: no };
  return { tone: 'unknown', text: 'could not be found out' };
}
