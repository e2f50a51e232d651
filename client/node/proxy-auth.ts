/**
 * Proves to a proxy who we are: Basic (RFC 7617) and Digest (RFC 7616) with MD5, SHA-256, SHA-512/256 and their -sess
 * forms, qop `auth` or none (RFC 2069). Says nothing of the password before the proxy has asked, and then the strongest
 * that it accepts.
 */
import { createHash, randomBytes } from 'node:crypto';

export interface ProxyCredentials {
  readonly username: string;
  readonly password: string;
}

export interface Challenge {
  /** As the proxy wrote it; letters' case means nothing. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** The weakest first; the hash that Node knows it by. */
const algorithms = new Map([
  ['md5', 'md5'],
  ['sha-256', 'sha256'],
  ['sha-512-256', 'sha512-256'],
]);
const strengths = [...algorithms.keys()];

interface DigestState {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  /** As the proxy spelt it; undefined where it named none. */
  readonly algorithm: string | undefined;
  readonly hash: string;
  readonly isSession: boolean;
  readonly hasQop: boolean;
  readonly userhash: boolean;
  /** One for each nonce, so that a -sess key stays the same. */
  readonly cnonce: string;
  uses: number;
}

export class ProxyAuthenticator {
  readonly #credentials: ProxyCredentials | null;
  readonly #makeCnonce: () => string;
  #chosen: DigestState | 'basic' | null = null;

  /** `makeCnonce`: unguessable texts, each used for one nonce of the proxy's. */
  constructor(credentials: ProxyCredentials | null, makeCnonce = randomCnonce) {
    this.#credentials = credentials;
    this.#makeCnonce = makeCnonce;
  }

  get hasCredentials(): boolean {
    return this.#credentials !== null;
  }

  /** The value of Proxy-Authorization for a request; null while the proxy has not asked. `uri` is the request's target. */
  authorization(method: string, uri: string): string | null {
    const credentials = this.#credentials;
    if (credentials === null || this.#chosen === null) return null;
    if (this.#chosen === 'basic') {
      const pair = `${credentials.username}:${credentials.password}`;
      return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
    }
    this.#chosen.uses += 1;
    return digestAuthorization(this.#chosen, credentials, method, uri);
  }

  /**
   * Takes the Proxy-Authenticate of a 407. `sent` is the authorization that was refused. True: another try may pass.
   * A nonce wears out: refused at its first use, the password is wrong, and at a later one only the nonce.
   */
  challenged(header: string, sent: string | null): boolean {
    const challenges = parseChallenges(header);
    const digest = strongestDigest(challenges, this.#makeCnonce);
    const basic = challenges.some(({ scheme }) => scheme.toLowerCase() === 'basic');
    this.#chosen = digest?.state ?? (basic ? 'basic' : null);
    if (this.#credentials === null || this.#chosen === null) return false;
    if (sent === null || digest?.stale === true) return true;
    if (this.#chosen === 'basic') return !sent.startsWith('Basic ');
    return !sent.startsWith('Digest ') || /nc=(?!00000001)/.test(sent);
  }
}

/** The names of the schemes, as the proxy wrote them, for people. */
export function schemesOf(header: string): string {
  const names = parseChallenges(header).map(({ scheme, parameters }) => {
    const algorithm = parameters.get('algorithm');
    return algorithm === undefined ? scheme : `${scheme} (${algorithm})`;
  });
  return [...new Set(names)].join(', ');
}

/** RFC 9110 section 11.6.1: challenges and their parameters share one comma for both. What makes no sense ends the list. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const token = /[\s,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*/y;
  const value = /=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y;
  // The one form without a name, such as Negotiate's; nobody here reads it.
  const token68 = /[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|$)/y;
  let at = 0;
  for (;;) {
    token.lastIndex = at;
    const name = token.exec(header)?.[1];
    if (name === undefined) return challenges;
    at = token.lastIndex;
    value.lastIndex = at;
    const found = value.exec(header);
    if (found !== null) {
      at = value.lastIndex;
      challenges.at(-1)?.parameters.set(name.toLowerCase(), found[1]?.replace(/\\(.)/g, '$1') ?? found[2] ?? '');
      continue;
    }
    challenges.push({ scheme: name, parameters: new Map() });
    token68.lastIndex = at;
    if (header[at] !== ',' && token68.test(header)) at = token68.lastIndex;
  }
}

function strongestDigest(
  challenges: readonly Challenge[],
  makeCnonce: () => string,
): { state: DigestState; stale: boolean } | null {
  let best: { state: DigestState; stale: boolean; strength: number } | null = null;
  for (const { scheme, parameters } of challenges) {
    const nonce = parameters.get('nonce');
    if (scheme.toLowerCase() !== 'digest' || nonce === undefined) continue;
    const algorithm = parameters.get('algorithm');
    const base = (algorithm ?? 'md5').toLowerCase().replace(/-sess$/, '');
    const hash = algorithms.get(base);
    const qop = parameters.get('qop');
    const hasQop = qop !== undefined;
    if (hash === undefined || !isAvailable(hash) || (hasQop && !/(^|[\s,])auth($|[\s,])/i.test(qop))) continue;
    const strength = strengths.indexOf(base);
    if (best !== null && best.strength >= strength) continue;
    const state = {
      realm: parameters.get('realm') ?? '',
      nonce,
      opaque: parameters.get('opaque'),
      algorithm,
      hash,
      isSession: /-sess$/i.test(algorithm ?? ''),
      hasQop,
      userhash: parameters.get('userhash')?.toLowerCase() === 'true',
      cnonce: makeCnonce(),
      uses: 0,
    };
    best = { state, stale: parameters.get('stale')?.toLowerCase() === 'true', strength };
  }
  return best;
}

/** Where only approved algorithms may be used, MD5 is missing. */
function isAvailable(hash: string): boolean {
  try {
    createHash(hash);
    return true;
  } catch {
    return false;
  }
}

function randomCnonce(): string {
  return randomBytes(16).toString('base64url');
}

/** RFC 7616 section 3.4. */
function digestAuthorization(
  state: DigestState,
  { username, password }: ProxyCredentials,
  method: string,
  uri: string,
): string {
  const { realm, nonce, opaque, algorithm, hash, isSession, hasQop, userhash, cnonce, uses } = state;
  const h = (text: string): string => createHash(hash).update(text, 'utf8').digest('hex');
  const nc = uses.toString(16).padStart(8, '0');
  const secret = h(`${username}:${realm}:${password}`);
  const a1 = isSession ? h(`${secret}:${nonce}:${cnonce}`) : secret;
  const a2 = h(`${method}:${uri}`);
  const response = hasQop ? h(`${a1}:${nonce}:${nc}:${cnonce}:auth:${a2}`) : h(`${a1}:${nonce}:${a2}`);
  const fields = [
    nameField(userhash ? h(`${username}:${realm}`) : username),
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `uri=${quoted(uri)}`,
    `response="${response}"`,
  ];
  if (algorithm !== undefined) fields.push(`algorithm=${algorithm}`);
  if (opaque !== undefined) fields.push(`opaque=${quoted(opaque)}`);
  if (hasQop) fields.push('qop=auth', `nc=${nc}`);
  if (hasQop || isSession) fields.push(`cnonce="${cnonce}"`);
  if (userhash) fields.push('userhash=true');
  return `Digest ${fields.join(', ')}`;
}

/** Section 3.4: a name that does not fit a quoted string is written as RFC 8187 says. */
function nameField(name: string): string {
  if (/^[\x20-\x7e]*$/.test(name)) return `username=${quoted(name)}`;
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  return `username*=UTF-8''${encoded}`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
