/** The carriers that a session's control channel can use, best first, and how a connection of each is opened. */
import type { ControlRung, ExchangeCarrier, FlowLimits } from '../../tunnel-protocol/index.ts';
import { controlRungs, flowLimits } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import type { ClientError } from '../errors.ts';
import type { EdgeRing } from './edge-ring.ts';
import type { ControlConnection, ControlConnectionEvents, OpenConnection } from './control-connection.ts';
import type { OpenExchange } from './exchange-connection.ts';
import type { ExchangeFetch } from './exchange-fetch.ts';
import type { OpenTunnelConnection, SplitConnectionOptions } from './split-connection.ts';
import { TunnelConnection } from './tunnel-connection.ts';
import { tunnelSubprotocols } from './tunnel-socket.ts';
import type { OpenTunnelSocket } from './tunnel-socket.ts';

export interface CarrierOptions {
  /** Of the WebSocket tunnel, absolute. */
  readonly url: string;
  /** Of the WebSocket for audio beside it; audio goes with all else where it is null or absent. */
  readonly audioUrl?: string | null | undefined;
  /** Opens both; needed with `audioUrl`. Passed in, so that who has no use for it need not load it. */
  readonly openSplit?: (options: SplitConnectionOptions, events: ControlConnectionEvents) => ControlConnection;
  readonly resumeToken: string;
  /** Where else the session can be served; the URLs alone if absent. */
  readonly edges?: EdgeRing | undefined;
  readonly openSocket: OpenTunnelSocket;
  /** The HTTP tunnels; WebSocket alone if absent. */
  readonly http?: HttpCarriers | undefined;
  /** Those that may be used; all that there are if absent. */
  readonly rungs?: readonly ControlRung[] | undefined;
  /** Of what is sent, the age at which it is dropped among them. */
  readonly flow?: Partial<FlowLimits>;
}

export interface HttpCarriers {
  /** Absolute; null where the edge has none. */
  readonly streamUrl: string | null;
  readonly pollUrl: string | null;
  readonly fetch: ExchangeFetch;
  /** `openExchange`, or something that loads it first. */
  readonly open: OpenExchange;
  /** Whether requests share an HTTP/2 connection; asked whenever a connection of the tunnel is made. */
  readonly isHttp2?: () => boolean;
  /** `fetch` takes streams as bodies. */
  readonly streamsUploads?: boolean;
  /** Names the cause of a failed request where the environment tells it. */
  readonly explain?: (error: unknown) => ClientError;
}

export function openCarriers(options: CarrierOptions, clock: ClientClock): ReadonlyMap<ControlRung, OpenConnection> {
  const { url, audioUrl, openSplit, resumeToken, openSocket, http, flow, edges } = options;
  const now = (target: string): string => edges?.at(target) ?? target;
  const all = new Map<ControlRung, OpenConnection>();
  const webSocket =
    (target: string, limits = flow): OpenTunnelConnection =>
    (events) =>
      new TunnelConnection(openSocket(now(target), tunnelSubprotocols(resumeToken)), clock, events, limits);
  const audioFlow = { ...flow, creditLeastBytes: flowLimits.audioCreditLeastBytes };
  const openMain = webSocket(url);
  all.set(
    'websocket',
    typeof audioUrl === 'string' && openSplit !== undefined
      ? (events) => openSplit({ openMain, openAudio: webSocket(audioUrl, audioFlow), clock }, events)
      : openMain,
  );
  let generation = 0;
  const exchange =
    (
      carrier: ExchangeCarrier,
      target: string,
      { fetch, open, isHttp2, streamsUploads, explain }: HttpCarriers,
    ): OpenConnection =>
    (events) => {
      generation += 1;
      const fixed = { carrier, url: now(target), resumeToken, fetch, generation, clock, flow };
      const how = { http2: isHttp2?.() ?? false, streamUpload: streamsUploads ?? false };
      return open({ ...fixed, ...how, ...(explain === undefined ? {} : { explain }) }, events);
    };
  if (http !== undefined) {
    if (http.streamUrl !== null) all.set('http-stream', exchange('http-stream', http.streamUrl, http));
    if (http.pollUrl !== null) all.set('long-poll', exchange('long-poll', http.pollUrl, http));
  }
  const allowed = options.rungs ?? controlRungs;
  return new Map([...all].filter(([rung]) => allowed.includes(rung)));
}
