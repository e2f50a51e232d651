/** What the plan starts from. A name is also that of an option (`--users-per-call`) and of a field on the page. */

export interface Input {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly value: number;
  readonly group: 'load' | 'media' | 'recording' | 'rungs' | 'machines' | 'directory and telemetry';
  /** The figure of a bench that replaces the value where it was measured on this machine. */
  readonly measuredBy?: { readonly figure: string };
}

type Row = readonly [name: string, value: number, unit: string, title: string];

const of = (group: Input['group'], rows: readonly Row[]): readonly Input[] =>
  rows.map(([name, value, unit, title]) => ({ name, value, unit, title, group }));

/** The rungs, the share of users on each (assumed), and what a packet costs an edge there (measured where it was). */
const rungRows = [
  ['Udp', 'udp', 78, 0, null],
  ['TurnUdp', 'turn-udp', 5, 6, 'turn.udp.1000.cpu_us'],
  ['IceTcp', 'ice-tcp', 4, 6, 'turn.tcp.1000.cpu_us'],
  ['TurnTcp', 'turn-tcp', 2, 8, 'turn.tcp.1000.cpu_us'],
  ['TurnTls', 'turn-tls', 5, 14, 'turn.tls.1000.cpu_us'],
  ['WebSocket', 'websocket', 4, 6, 'tunnel.websocket.1200.cpu_us'],
  ['HttpStream', 'http-stream', 1.5, 10, 'tunnel.http-stream.1200.cpu_us'],
  ['LongPoll', 'long-poll', 0.5, 25, 'tunnel.long-poll.1200.cpu_us'],
] as const;

export const rungNames = rungRows.map(([suffix, rung]) => ({ suffix, rung }));

export const inputs: readonly Input[] = [
  ...of('load', [
    ['users', 1e9, 'user', 'users'],
    ['callsPerDay', 1e8, 'call/day', 'calls a day'],
    ['window', 10, 'h', 'hours of the day in which all of them begin'],
    ['callLength', 30, 'min', 'length of a call (assumed)'],
    ['requestsPerCall', 20, 'request/call', 'signalling requests per call'],
    ['reserve', 8, '%', 'reserve of the design target over the requests'],
    ['usersPerCall', 100, 'user/call', 'users per call'],
  ]),
  ...of('media', [
    ['highRate', 1, 'Mbit/s/user', 'bitrate of a picture in the high layer'],
    ['lowRate', 100, 'kbit/s/user', 'bitrate of a thumbnail'],
    ['highPictures', 1, '1', 'pictures that a user sees in the high layer'],
    ['thumbnails', 5, '1', 'thumbnails that a user sees'],
    ['packetSize', 1000, 'B/packet', 'bytes of media per packet (assumed)'],
  ]),
  ...of('recording', [
    ['recordedShare', 1, '%', 'share of calls that are recorded'],
    ['recordingSize', 100, 'MB/call', 'size of a recording'],
    ['hotTime', 30, 'day', 'time in hot storage (assumed)'],
    ['warmTime', 335, 'day', 'then in warm storage (assumed)'],
    ['coldTime', 2, 'year', 'then in cold storage (assumed)'],
  ]),
  ...of(
    'rungs',
    rungRows.map(([suffix, rung, share]) => [`share${suffix}`, share, '%', `users on ${rung} (assumed)`]),
  ),
  ...rungRows.map(([suffix, rung, , cost, figure]) => ({
    ...{ name: `cost${suffix}`, value: cost, unit: 'core*us/packet', group: 'rungs' as const },
    title: `CPU of an edge per packet on ${rung}`,
    ...(figure === null ? {} : { measuredBy: { figure } }),
  })),
  {
    ...{ name: 'sfuRate', value: 70_000, unit: 'packet/s/core', group: 'machines' },
    title: 'packets that one core of an SFU sends',
    measuredBy: { figure: 'sfu.fanout10.1200.pps' },
  },
  ...of('machines', [
    ['coresPerEdge', 16, 'core/edge', 'cores of an edge'],
    ['wirePerEdge', 10, 'Gbit/s/edge', 'network of an edge, each way together'],
    ['fullest', 60, '%', 'how full cores and network may be'],
  ]),
  ...of('directory and telemetry', [
    ['sessionBytes', 600, 'B/user', 'Redis memory per user in a call (assumed)'],
    ['roomBytes', 400, 'B/call', 'Redis memory per call (assumed)'],
    ['operationsPerJoin', 6, 'operation/user', 'Redis operations per user, join and leave (assumed)'],
    ['refreshTime', 60, 's', 'time between refreshes of a session in Redis (assumed)'],
    ['operationsPerRefresh', 1, 'operation/user', 'Redis operations per refresh (assumed)'],
    ['telemetryTime', 10, 's', 'time between telemetry events of a user (assumed)'],
    ['eventsPerReport', 1, 'event/user', 'events in each of these reports'],
    ['eventsPerJoin', 4, 'event/user', 'events per user at join and leave (assumed)'],
  ]),
];
