/** What follows from the inputs: every line is computed from the formula that is shown. */
import { rungNames } from './inputs.ts';

export interface Formula {
  readonly name: string;
  readonly title: string;
  /** The unit that the value is shown in; its dimension is checked against that of the formula. */
  readonly unit: string;
  readonly formula: string;
  readonly group: 'calls' | 'bandwidth' | 'recordings' | 'machines' | 'directory and telemetry';
}

type Row = readonly [name: string, unit: string, title: string, formula: string];

const of = (group: Formula['group'], rows: readonly Row[]): readonly Formula[] =>
  rows.map(([name, unit, title, formula]) => ({ name, unit, title, formula, group }));

const perRung = (term: (suffix: string) => string): string => rungNames.map(({ suffix }) => term(suffix)).join(' + ');

export const formulas: readonly Formula[] = [
  ...of('calls', [
    ['callsPerSecond', 'call/s', 'calls that begin', 'callsPerDay * day / window'],
    ['requestsPerSecond', 'request/s', 'signalling requests', 'callsPerSecond * requestsPerCall'],
    ['designTarget', 'request/s', 'design target for signalling', 'requestsPerSecond * (1 + reserve)'],
    ['joinsPerSecond', 'user/s', 'users that join', 'callsPerSecond * usersPerCall'],
    ['callsAtOnce', 'call', 'calls at once', 'callsPerSecond * callLength'],
    ['usersAtOnce', 'user', 'users in calls at once', 'callsAtOnce * usersPerCall'],
    ['shareAtOnce', '%', 'of all users', 'usersAtOnce / users'],
  ]),
  ...of('bandwidth', [
    ['upPerCall', 'Mbit/s/call', 'into the SFU, per call', 'usersPerCall * highRate'],
    [
      'downPerCall',
      'Mbit/s/call',
      'out of the SFU, per call',
      'usersPerCall * (highPictures * highRate + thumbnails * lowRate)',
    ],
    ['ratePerCall', 'Mbit/s/call', 'per call', 'upPerCall + downPerCall'],
    ['rateInAll', 'Tbit/s', 'in all', 'ratePerCall * callsAtOnce'],
    ['packetsUp', 'packet/s', 'packets into SFUs', 'upPerCall * callsAtOnce / packetSize'],
    ['packetsDown', 'packet/s', 'packets out of SFUs', 'downPerCall * callsAtOnce / packetSize'],
  ]),
  ...of('recordings', [
    ['recordedPerDay', 'TB/day', 'recorded a day', 'callsPerDay * recordedShare * recordingSize'],
    ['recordedPerYear', 'PB/year', 'recorded a year', 'recordedPerDay'],
    ['hotStorage', 'PB', 'in hot storage', 'recordedPerDay * hotTime'],
    ['warmStorage', 'PB', 'in warm storage', 'recordedPerDay * warmTime'],
    ['coldStorage', 'PB', 'in cold storage', 'recordedPerDay * coldTime'],
  ]),
  ...of('machines', [
    ['costPerPacket', 'core*us/packet', 'CPU of the rungs per packet', perRung((one) => `share${one} * cost${one}`)],
    ['sfuCores', 'core', 'cores that forward', 'packetsDown / sfuRate'],
    ['rungCores', 'core', 'cores for TURN, TCP and tunnels', '(packetsUp + packetsDown) * costPerPacket'],
    ['edgesByCores', 'edge', 'edges, by cores', '(sfuCores + rungCores) / (coresPerEdge * fullest)'],
    ['edgesByWire', 'edge', 'edges, by network', 'rateInAll / (wirePerEdge * fullest)'],
    ['edges', 'edge', 'edges', 'ceil(max(edgesByCores, edgesByWire))'],
  ]),
  ...of('directory and telemetry', [
    ['redisMemory', 'GB', 'Redis memory', 'usersAtOnce * sessionBytes + callsAtOnce * roomBytes'],
    [
      'redisOperations',
      'operation/s',
      'Redis operations',
      'joinsPerSecond * operationsPerJoin + usersAtOnce * operationsPerRefresh / refreshTime',
    ],
    [
      'telemetryEvents',
      'event/s',
      'telemetry events',
      'usersAtOnce * eventsPerReport / telemetryTime + joinsPerSecond * eventsPerJoin',
    ],
  ]),
];
