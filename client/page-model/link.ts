/** What a link to the demo page says: `/?room=r&name=n&join=1&rung=udp#token=…`. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';

export interface PageLink {
  /** Empty if absent, as `name` and `token`. */
  readonly room: string;
  readonly name: string;
  /** Join at once, with camera and microphone. */
  readonly join: boolean;
  /** The only rung that media may use; null where the link leaves the choice to the client. */
  readonly rung: Rung | null;
  /** What `rung` said when it names no rung. */
  readonly unknownRung: string | null;
  readonly token: string;
  /** The token stood in the query, which servers and proxies log. */
  readonly tokenInQuery: boolean;
}

/** Longest room and user names that the page takes, in UTF-16 units. */
export const maxNameLength = 64;

export function readLink(href: string): PageLink {
  const url = new URL(href);
  const query = url.searchParams;
  const fragment = new URLSearchParams(url.hash.slice(1));
  const rung = query.get('rung');
  const known = rungs.find((one) => one === rung) ?? null;
  return {
    room: (query.get('room') ?? '').trim().slice(0, maxNameLength),
    name: (query.get('name') ?? '').trim().slice(0, maxNameLength),
    join: query.get('join') === '1' && (query.get('room') ?? '').trim() !== '',
    rung: known,
    unknownRung: rung !== null && rung !== '' && known === null ? rung.slice(0, maxNameLength) : null,
    token: fragment.get('token') ?? query.get('token') ?? '',
    tokenInQuery: query.has('token'),
  };
}

/** The same address with the token moved from the query into the fragment, which never leaves the browser. */
export function withTokenInFragment(href: string): string {
  const url = new URL(href);
  const token = url.searchParams.get('token');
  if (token === null) return href;
  url.searchParams.delete('token');
  const fragment = new URLSearchParams(url.hash.slice(1));
  if (!fragment.has('token')) fragment.set('token', token);
  url.hash = fragment.toString();
  return url.href;
}

/** What to send to others: the room and nothing personal, no name, no token. */
export function inviteLink(href: string, room: string): string {
  const url = new URL(href);
  url.search = new URLSearchParams({ room }).toString();
  url.hash = '';
  return url.href;
}

/** The page's own address during a call, so that a reload comes back to the same room; the fragment stays. */
export function callLink(href: string, room: string): string {
  const url = new URL(href);
  url.searchParams.set('room', room);
  return url.href;
}
