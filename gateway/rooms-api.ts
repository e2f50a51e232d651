/** `/v1/rooms…`: what an administrator may see and do. */
import { SfuError, type RoomSummary } from '../sfu/index.ts';
import { publishSections, type Source } from '../tunnel-protocol/index.ts';
import type { TokenAuthority } from './auth.ts';
import { bearerToken } from './bearer.ts';
import type { RequestHead } from './engine/index.ts';
import { maxJsonBytes, readJsonObject } from './json-body.ts';
import { emptyReply, jsonReply, Problem, problem, problemReply, type HttpReply } from './problem.ts';
import type { Route, RoutedRequest } from './router.ts';
import { UpstreamUnavailable, type Upstream } from './upstream/index.ts';

export interface RoomsApiDeps {
  readonly upstream: Upstream;
  readonly tokens: TokenAuthority;
  readonly refused: (reason: string) => void;
}

/** An administrator's token is good for the room that it names, or for all rooms if that is `*`. */
export function roomsRoutes(deps: RoomsApiDeps): readonly Route[] {
  const { upstream, tokens } = deps;

  const asAdmin =
    (act: (request: RoutedRequest, covers: (room: string) => boolean) => Promise<HttpReply | Problem>) =>
    async (request: RoutedRequest): Promise<HttpReply> => {
      const room = await adminRoom(request.head, tokens);
      const covers = (name: string): boolean => room === '*' || room === name;
      const outcome = room instanceof Problem ? room : await answerOf(act(request, covers));
      if (!(outcome instanceof Problem)) return outcome;
      deps.refused(outcome.code);
      return problemReply(outcome);
    };

  const onRoom = (action: (room: string, request: RoutedRequest) => Promise<HttpReply | Problem>) =>
    asAdmin(async (request, covers) => {
      const { room = '' } = request.params;
      if (!covers(room)) return problem('not-permitted', 'The token is for another room.');
      try {
        return await action(room, request);
      } catch (error) {
        if (!(error instanceof SfuError)) throw error;
        return problem(error.code === 'recording-unavailable' ? error.code : 'not-found', error.message);
      }
    });

  const onParticipant = (action: (room: string, participant: string, body: Uint8Array) => Promise<Problem | null>) =>
    onRoom(async (room, { params, body }) => (await action(room, params['id'] ?? '', body)) ?? emptyReply);

  return [
    {
      method: 'GET',
      pattern: '/v1/rooms',
      maxBodyBytes: 0,
      handle: asAdmin(async (_, covers) =>
        jsonReply(200, { rooms: (await upstream.rooms()).filter(({ room }) => covers(room)) }),
      ),
    },
    {
      method: 'GET',
      pattern: '/v1/rooms/:room',
      maxBodyBytes: 0,
      handle: asAdmin(async ({ params }, covers) => {
        const name = params['room'] ?? '';
        if (!covers(name)) return problem('not-permitted', 'The token is for another room.');
        const room: RoomSummary | undefined = await upstream.room(name);
        return room === undefined ? problem('not-found', 'Nobody is in a room of this name.') : jsonReply(200, room);
      }),
    },
    {
      method: 'POST',
      pattern: '/v1/rooms/:room/recording',
      maxBodyBytes: maxJsonBytes,
      handle: onRoom(async (room) => jsonReply(200, await upstream.startRecording(room))),
    },
    {
      method: 'DELETE',
      pattern: '/v1/rooms/:room/recording',
      maxBodyBytes: 0,
      handle: onRoom(async (room) => {
        if (await upstream.stopRecording(room)) return emptyReply;
        return problem('not-found', 'The room is not being recorded.');
      }),
    },
    {
      method: 'POST',
      pattern: '/v1/rooms/:room/participants/:id/kick',
      maxBodyBytes: maxJsonBytes,
      handle: onParticipant(async (room, participant) => {
        await upstream.kick(room, participant);
        return null;
      }),
    },
    {
      method: 'POST',
      pattern: '/v1/rooms/:room/participants/:id/mute',
      maxBodyBytes: maxJsonBytes,
      handle: onParticipant(async (room, participant, body) => {
        const source = readSource(body);
        if (source instanceof Problem) return source;
        await upstream.mute(room, participant, source);
        return null;
      }),
    },
  ];
}

async function answerOf(acting: Promise<HttpReply | Problem>): Promise<HttpReply | Problem> {
  try {
    return await acting;
  } catch (error) {
    if (error instanceof UpstreamUnavailable) return problem('upstream-unavailable', `${error.message}.`);
    throw error;
  }
}

async function adminRoom(head: RequestHead, tokens: TokenAuthority): Promise<string | Problem> {
  const token = bearerToken(head);
  if (token === null) return problem('token-missing', "Send an administrator's token as Authorization: Bearer.");
  const grant = await tokens.verifyJoinToken(token);
  if (grant instanceof Problem) return grant;
  return grant.can.includes('admin') ? grant.room : problem('not-permitted', "This needs an administrator's token.");
}

/** `{"source": "microphone" | "camera" | "screen"}`; without a body, the microphone. */
function readSource(bytes: Uint8Array): Source | Problem {
  if (bytes.length === 0) return 'microphone';
  const body = readJsonObject(bytes);
  if (body instanceof Problem) return body;
  const sources = publishSections.map(({ source }) => source);
  const found = sources.find((source) => source === (body['source'] ?? 'microphone'));
  return found ?? problem('bad-request', `"source" must be one of ${sources.join(', ')}.`);
}
