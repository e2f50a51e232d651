/** The text that a user can send to the administrator of a network: what works, and what to open for the rest. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import { bitrateText, lossText, millisecondsText } from '../page-model/format.ts';
import type { DoctorReport, EdgeFinding, NetworkFindings, RungVerdict } from './types.ts';

type Facts = Omit<DoctorReport, 'advice'>;

const what: Readonly<Record<Rung, string>> = {
  udp: 'UDP, straight to the media server',
  'turn-udp': 'TURN over UDP',
  'ice-tcp': 'ICE over TCP',
  'turn-tcp': 'TURN over TCP',
  'turn-tls': 'TURN over TLS',
  websocket: 'WebSocket',
  'http-stream': 'streamed HTTP',
  'long-poll': 'HTTP long-polls',
};

export function adviceFor(facts: Facts): string {
  const { host, when, problem, rungs } = facts;
  const working = rungs.filter(({ outcome }) => outcome === 'works');
  const lines = [
    `Calls by way of ${host}: what this network lets through`,
    `Tested ${when}, by Sallyport's doctor.`,
    '',
  ];
  lines.push(...summary(working, problem));
  if (working.length > 0) lines.push('', 'Works without any change:', ...working.map(describeWorking));
  const wishes = wishesOf(facts);
  if (wishes.length > 0) {
    lines.push('', working.length === 0 ? 'What would make calls work:' : 'What would make calls better:');
    lines.push(...wishes.map((wish, index) => `  ${String(index + 1)}. ${wish}`));
  }
  const found = findings(facts);
  if (found.length > 0) lines.push('', 'Found on the way:', ...found.map((line) => `  - ${line}`));
  lines.push(
    '',
    'Sound and picture are encrypted between the participant and the media server on every one of these ways.',
  );
  return lines.join('\n');
}

function summary(working: readonly RungVerdict[], problem: Facts['problem']): string[] {
  const [best] = working;
  if (best !== undefined) {
    if (best.rung === 'udp') return ['Calls work here, in the best way there is. Nothing has to be changed.'];
    return [`Calls work here, by ${what[best.rung]}. They would be better by a more direct way.`];
  }
  if (problem !== null) return [`Calls do not work here: the server could not be asked. ${problem.message}`];
  return ['Calls do not work here: nothing that carries sound and picture gets through.'];
}

function describeWorking({ rung, joinMs, latencyMs, bitsPerSecond, lossFraction }: RungVerdict): string {
  const figures = [
    `connected in ${millisecondsText(joinMs)}`,
    latencyMs === null ? null : `there and back ${millisecondsText(latencyMs)}`,
    bitsPerSecond === null ? null : `carries ${bitrateText(bitsPerSecond)} or more`,
    lossFraction === null || lossFraction === 0 ? null : `loses ${lossText(lossFraction)}`,
  ].filter((text) => text !== null);
  return `  - ${what[rung]}: ${figures.join(', ').replaceAll('\u00a0', ' ')}`;
}

/** Most useful first. */
function wishesOf({ host, edge, network, rungs, problem }: Facts): string[] {
  const blocked = new Set(rungs.filter(({ outcome }) => outcome === 'blocked').map(({ rung }) => rung));
  const tcp = String(edge?.ports.tcp ?? portOf(host));
  const name = host.replace(/:\d+$/, '');
  const wishes: string[] = [];
  if (network.captivePortal) {
    wishes.push(`Sign in to this network first, or let its sign-in page pass what goes to ${name}.`);
  }
  if (problem?.code === 'proxy-auth-required') wishes.push('Give the user an account at the proxy.');
  if (problem?.code === 'proxy-refused') wishes.push(`Let the proxy pass CONNECT to ${name}:${tcp}.`);
  if (edge === null) {
    wishes.push(`Allow connections to ${name}, TCP port ${tcp}.`);
    return wishes;
  }
  const { ports } = edge;
  if (blocked.has('udp'))
    wishes.push(`Allow UDP to ${place(name, edge)}, port ${String(ports.udp)}, and the answers to it.`);
  if (blocked.has('turn-udp')) {
    const instead = blocked.has('udp') ? 'If that port cannot be opened, allow' : 'Allow';
    wishes.push(`${instead} UDP to ${place(name, edge)}, port ${String(ports.turnUdp)}.`);
  }
  if (blocked.has('ice-tcp') || blocked.has('turn-tcp')) {
    wishes.push(`Allow TCP to ${place(name, edge)}, port ${tcp}, also where what is spoken there is not HTTP.`);
  }
  if (network.certificate?.intercepted === true) {
    wishes.push(`Take ${name} out of TLS inspection: it delays sound and picture, and sees nothing of them.`);
  } else if (blocked.has('turn-tls')) {
    wishes.push(`Allow TLS to ${name}, TCP port ${tcp}, whatever is spoken inside.`);
  }
  if (network.upgradeStripped)
    wishes.push(`Let the headers “Upgrade” and “Connection” pass to ${name}, so that WebSocket works.`);
  if (network.buffering) wishes.push(`Pass answers of ${name} on as they come, without gathering them first.`);
  return wishes;
}

function findings({ network, edge, problem }: Facts): string[] {
  const { certificate } = network;
  return [
    network.proxy === null ? null : `requests go by the proxy ${network.proxy}`,
    network.via === null ? null : `a proxy named itself in the request: ${network.via}`,
    certificate?.intercepted === true
      ? `TLS is intercepted: the certificate seen is not the server's, but one issued by ${certificate.issuer}`
      : null,
    certificate?.intercepted === null && !certificate.trusted
      ? `the certificate seen is not trusted here; it was issued by ${certificate.issuer}`
      : null,
    certificate?.intercepted === false && !certificate.trusted
      ? `the server's own certificate is not trusted by this machine (issued by ${certificate.issuer})`
      : null,
    network.captivePortal ? 'somebody else answers in place of the server: a sign-in page or a filter' : null,
    network.upgradeStripped ? 'the headers that open a WebSocket are taken out of requests' : null,
    network.buffering ? 'answers are held back until they are complete' : null,
    ipv6Words(network),
    network.seenAs === null ? null : `the server sees this client as ${network.seenAs}`,
    edge === null && problem !== null ? `the error was “${problem.code}”` : null,
  ].filter((line) => line !== null);
}

function ipv6Words({ ipv6 }: NetworkFindings): string | null {
  switch (ipv6) {
    case 'works':
      return 'IPv6 works to the server';
    case 'not-from-here':
      return 'the server has an IPv6 address, which cannot be reached from here';
    case 'edge-has-none':
      return 'the name of the server has no IPv6 address';
    case 'unknown':
      return null;
  }
}

function place(name: string, { addresses }: EdgeFinding): string {
  const others = addresses.filter((address) => address !== name);
  return others.length === 0 ? name : `${name} (${others.join(', ')})`;
}

function portOf(host: string): string {
  return /:(\d+)$/.exec(host)?.[1] ?? '443';
}
