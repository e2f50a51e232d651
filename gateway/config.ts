/** The configuration: read once, checked as a whole, frozen. */
import path from 'node:path';
import { parseRelayAllow } from '../turn/index.ts';
import { hostOf, isLoopback, isWildcard, parseAddress, parseAuthority } from './addresses.ts';
import type { CertificateFiles } from './certificates.ts';
import { SettingReader } from './config-reader.ts';
import {
  configFileVariable,
  environmentName,
  notSupportedYet,
  settingsFromEnvironment,
  settingsFromFile,
  type RawSetting,
  type Setting,
} from './config-variables.ts';
import { NetworkSet } from './demux/index.ts';
import { Secret } from './secret.ts';
import type { TrunkCredentials } from './trunk/index.ts';

export type AuthMode = 'token' | 'open';
export type EngineChoice = 'auto' | 'uws' | 'node';
export type LogLevel = (typeof logLevels)[number];
const defaultTurnUdpPort = 3478;
const s3Settings: readonly Setting[] = ['S3_ENDPOINT', 'S3_REGION', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'];
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export interface Config {
  /** 0 lets the system choose; so for the media port and the admin port. */
  readonly port: number;
  readonly udpPort: number;
  /** 0: no TURN over UDP. Never the media port. */
  readonly turnUdpPort: number;
  /** Addresses to bind, canonical; the wildcards `0.0.0.0` and `::` among them stand for every local address. */
  readonly hosts: readonly string[];
  /** Host and port for URLs; null: as the request's Host header says. */
  readonly publicHost: { readonly host: string; readonly port: number | null } | null;
  /** Addresses for candidates, best first; never empty. */
  readonly publicAddresses: readonly string[];
  readonly adminHost: string;
  readonly adminPort: number;
  /** Addresses and CIDR blocks of load balancers that speak the PROXY protocol. */
  readonly proxyFrom: readonly string[];
  /** Never empty; the first is the default. Null: self-signed, kept in the data folder. */
  readonly tls: readonly CertificateFiles[] | null;
  /** Null: made at random and kept in the data folder. */
  readonly secret: Secret | null;
  readonly auth: AuthMode;
  /** Web origins besides the server's own; `*` stands for all. */
  readonly origins: readonly string[];
  readonly engine: EngineChoice;
  readonly dataDir: string;
  readonly edgeId: string;
  readonly region: string;
  /** Peers of TURN clients besides the SFU, as turn's `parseRelayAllow` reads them. */
  readonly relayAllow: readonly string[];
  /** Where an SFU node takes trunks; null: it does not. */
  readonly trunk: { readonly host: string; readonly port: number } | null;
  /** Which SFU an edge uses. */
  readonly upstream: UpstreamChoice;
  /** The directory that edges and SFU nodes share; several are the nodes of one Redis Cluster. Null: there is none. */
  readonly redisUrls: readonly string[] | null;
  /** PEM; null: Redis is certified by an authority that Node knows. */
  readonly redisCa: string | null;
  /** How long a SIGTERM waits for sessions to go to other edges. */
  readonly drainSeconds: number;
  /** By what edges and SFU nodes know each other: a secret, certificates, or both; null where there are no others. */
  readonly cluster: TrunkCredentials | null;
  /** Where recordings go. */
  readonly storage: StorageChoice;
  readonly logLevel: LogLevel;
}

export type StorageChoice =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 's3';
      readonly endpoint: string;
      readonly region: string;
      readonly bucket: string;
      /** Of the keys, without slashes at its ends. */
      readonly prefix: string;
      readonly accessKeyId: string;
      readonly secretAccessKey: Secret;
    };

export type UpstreamChoice =
  | { readonly kind: 'embedded' }
  /** The SFU nodes that the directory knows. */
  | { readonly kind: 'cluster' }
  | { readonly kind: 'trunk'; readonly host: string; readonly port: number }
  /** SFUs of others, by UDP: those of `relayAllow`, chosen by the join token. */
  | { readonly kind: 'udp' };

export interface ConfigSources {
  /** `sfu`: an SFU node without an edge; an edge if absent. */
  readonly role?: 'edge' | 'sfu';
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** From `--config`; goes before `SALLYPORT_CONFIG`. */
  readonly file?: string | undefined;
  /** Throws when the file cannot be read. */
  readonly readFile: (file: string) => string;
  readonly machine: {
    readonly hostName: string;
    /** Canonical addresses of this machine's interfaces, loopback included. */
    readonly addresses: readonly string[];
  };
}

/** All that is wrong with a configuration, a sentence each. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the configuration has ${String(faults.length)} fault${faults.length === 1 ? '' : 's'}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** Throws {@link ConfigError} with every fault at once. */
export function loadConfig(sources: ConfigSources): Config {
  const faults: string[] = [];
  const read = new Reader(collect(sources, faults), faults);
  read.refuseWhatIsNotSupported();
  const port = read.port('PORT', 8443);
  const udpPort = read.port('UDP_PORT', port);
  const hosts = read.hosts();
  const config: Config = {
    port,
    udpPort,
    turnUdpPort: read.turnUdpPort(udpPort),
    hosts,
    publicHost: read.publicHost(),
    publicAddresses: read.publicAddresses(hosts, sources.machine.addresses),
    adminHost: read.host('ADMIN_HOST', '127.0.0.1'),
    adminPort: read.port('ADMIN_PORT', 9090),
    proxyFrom: read.proxyFrom(),
    tls: read.tls(sources.readFile),
    secret: read.secret(),
    auth: read.choice('AUTH', ['token', 'open'], hosts.every(isLoopback) ? 'open' : 'token'),
    origins: read.origins(),
    engine: read.choice('ENGINE', ['auto', 'uws', 'node'], 'auto'),
    dataDir: path.resolve(read.text('DATA_DIR') ?? 'data'),
    edgeId: read.label('EDGE_ID', sources.machine.hostName.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 64) || 'edge'),
    region: read.label('REGION', 'default'),
    relayAllow: read.relayAllow(),
    trunk: read.trunk(sources.role ?? 'edge'),
    upstream: read.upstream(),
    redisUrls: read.redisUrls(),
    redisCa: read.fileOf('REDIS_CA', sources.readFile),
    drainSeconds: read.seconds('DRAIN_SECONDS', 600),
    cluster: read.cluster(sources.readFile),
    storage: read.storage(path.resolve(read.text('DATA_DIR') ?? 'data')),
    logLevel: read.choice('LOG_LEVEL', logLevels, 'info'),
  };
  read.checkCluster(config);
  if (faults.length > 0) throw new ConfigError(faults);
  return deepFreeze(config);
}

function collect(sources: ConfigSources, faults: string[]): Map<Setting, RawSetting> {
  const file = sources.file ?? sources.environment[configFileVariable];
  const values = new Map<Setting, RawSetting>();
  if (file !== undefined && file !== '') {
    try {
      for (const [key, value] of settingsFromFile(file, sources.readFile(file), faults)) values.set(key, value);
    } catch (error) {
      faults.push(`${file}: cannot be read (${error instanceof Error ? error.message : String(error)})`);
    }
  }
  for (const [key, value] of settingsFromEnvironment(sources.environment, faults)) values.set(key, value);
  return values;
}

class Reader extends SettingReader {
  refuseWhatIsNotSupported(): void {
    for (const [setting, { text }] of this.values) {
      const missing = notSupportedYet[setting];
      if (missing !== undefined && !missing.harmless.includes(text)) {
        this.fault(setting, `${missing.feature} is not supported yet by this version; leave this setting out`);
      }
    }
  }

  turnUdpPort(mediaPort: number): number {
    const port = this.port('TURN_UDP_PORT', defaultTurnUdpPort);
    if (port !== 0 && port === mediaPort) {
      const sentence =
        `is ${String(port)}, the UDP port of media: Chromium takes all that comes from the address of its TURN server ` +
        'for TURN, so media sent from there would be lost; give TURN another port, or 0 to do without it over UDP';
      this.fault('TURN_UDP_PORT', sentence);
    }
    return port;
  }

  hosts(): readonly string[] {
    const hosts = this.list('HOST').flatMap((part) => {
      if (part === 'localhost') return ['127.0.0.1', '::1'];
      const address = parseAddress(part);
      if (address !== null) return [address];
      this.bad('HOST', 'must be IP addresses of this machine, 0.0.0.0, :: or localhost, separated by commas');
      return [];
    });
    return hosts.length === 0 ? ['0.0.0.0', '::'] : [...new Set(hosts)];
  }

  publicHost(): Config['publicHost'] {
    const text = this.text('PUBLIC_HOST');
    if (text === null) return null;
    const address = parseAddress(text);
    const authority = parseAuthority(address === null ? text : hostOf(address));
    if (authority === null) this.bad('PUBLIC_HOST', 'must be a host name, or a host name and a port');
    return authority;
  }

  /** By default the first address that others can reach among those that are bound. */
  publicAddresses(hosts: readonly string[], machine: readonly string[]): readonly string[] {
    const given = this.list('PUBLIC_ADDRESS');
    if (given.length > 0) {
      return given.flatMap((part) => {
        const address = parseAddress(part);
        if (address !== null && !isWildcard(address)) return [address];
        this.bad('PUBLIC_ADDRESS', 'must be IP addresses that clients can reach, separated by commas');
        return [];
      });
    }
    const bound = hosts.flatMap((host) =>
      isWildcard(host) ? machine.filter((address) => host === '::' || !address.includes(':')) : [host],
    );
    return [bound.find((address) => !isLoopback(address)) ?? bound.find(isLoopback) ?? '127.0.0.1'];
  }

  tls(readFile: (file: string) => string): Config['tls'] {
    const certFiles = this.list('TLS_CERT');
    const keyFiles = this.list('TLS_KEY');
    if (certFiles.length === 0 && keyFiles.length === 0) return null;
    if (keyFiles.length === 0) this.fault('TLS_CERT', `needs ${environmentName('TLS_KEY')} as well`);
    else if (certFiles.length === 0) this.fault('TLS_KEY', `needs ${environmentName('TLS_CERT')} as well`);
    else if (certFiles.length !== keyFiles.length) {
      const [certs, keys] = [String(certFiles.length), String(keyFiles.length)];
      this.fault('TLS_KEY', `needs one key for each certificate, in the same order: ${keys} for ${certs}`);
    }
    const pairs: CertificateFiles[] = [];
    for (const [i, certFile] of certFiles.entries()) {
      const keyFile = keyFiles[i];
      if (keyFile === undefined) break;
      this.checkPair(certFile, keyFile, readFile);
      pairs.push({ certFile: path.resolve(certFile), keyFile: path.resolve(keyFile) });
    }
    return pairs;
  }

  secret(): Secret | null {
    const text = this.text('SECRET');
    return text === null ? null : new Secret(text);
  }

  trunk(role: 'edge' | 'sfu'): Config['trunk'] {
    const text = this.text('TRUNK_PORT');
    const host = this.host('TRUNK_HOST', '0.0.0.0');
    if (role === 'sfu') {
      if (text === null) this.fault('TRUNK_PORT', 'is needed: an SFU node is reached by trunks from edges');
      return { host, port: this.port('TRUNK_PORT', 0) };
    }
    if (text !== null) this.fault('TRUNK_PORT', 'is for SFU nodes (sallyport sfu); an edge takes no trunks');
    return null;
  }

  upstream(): UpstreamChoice {
    const text = this.text('UPSTREAM') ?? (this.text('REDIS_URL') === null ? 'embedded' : 'cluster');
    if (text === 'embedded' || text === 'cluster' || text === 'udp') return { kind: text };
    const authority = text.startsWith('trunk://') ? parseAuthority(text.slice('trunk://'.length)) : null;
    if (authority?.port != null) {
      return { kind: 'trunk', host: authority.host.replace(/^\[|\]$/g, ''), port: authority.port };
    }
    this.bad('UPSTREAM', 'must be embedded, cluster, udp, or trunk://host:port');
    return { kind: 'embedded' };
  }

  redisUrls(): Config['redisUrls'] {
    const urls = this.list('REDIS_URL');
    for (const url of urls) {
      const isOne = URL.canParse(url) && ['redis:', 'rediss:'].includes(new URL(url).protocol);
      // It may hold a password, so it is not repeated.
      if (!isOne) this.fault('REDIS_URL', 'must be redis:// or rediss:// URLs, separated by commas');
    }
    return urls.length === 0 ? null : urls;
  }

  cluster(readFile: (file: string) => string): TrunkCredentials | null {
    const secret = this.text('CLUSTER_SECRET');
    const [certFile, keyFile, caFile] = [this.text('CLUSTER_CERT'), this.text('CLUSTER_KEY'), this.text('CLUSTER_CA')];
    if (certFile === null && keyFile === null && caFile === null) {
      return secret === null ? null : { secret: new Secret(secret), certificate: null };
    }
    if (certFile === null || keyFile === null || caFile === null) {
      this.fault('CLUSTER_CERT', 'needs CLUSTER_KEY and CLUSTER_CA beside it: all three, or none');
      return null;
    }
    this.checkPair(certFile, keyFile, readFile, ['CLUSTER_CERT', 'CLUSTER_KEY']);
    const files = [certFile, keyFile, caFile].map((file) => this.file('CLUSTER_CERT', file, readFile) ?? '');
    const [cert = '', key = '', ca = ''] = files;
    return { secret: secret === null ? null : new Secret(secret), certificate: { cert, key, ca } };
  }

  /** A folder, or `s3://bucket/prefix`. */
  storage(dataDir: string): StorageChoice {
    const text = this.text('STORAGE') ?? path.join(dataDir, 'recordings');
    const [, bucket, prefix = ''] =
      /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([\w!.*'()/-]*))?$/.exec(text) ?? [];
    if (bucket === undefined) {
      if (/^[a-z0-9]+:\/\//i.test(text))
        this.bad('STORAGE', 'must be a folder, or s3://bucket with or without /prefix');
      for (const setting of s3Settings) {
        if (this.text(setting) !== null) this.fault(setting, `is for ${environmentName('STORAGE')}=s3://…`);
      }
      return { kind: 'folder', folder: path.resolve(text) };
    }
    const region = this.text('S3_REGION') ?? 'us-east-1';
    const endpoint = this.text('S3_ENDPOINT') ?? `https://s3.${region}.amazonaws.com`;
    const isOrigin = URL.canParse(endpoint) && /^https?:\/\/[^/]+\/?$/.test(endpoint);
    if (!isOrigin) this.bad('S3_ENDPOINT', 'must be an http:// or https:// URL without a path');
    const accessKeyId = this.text('S3_ACCESS_KEY_ID');
    const secret = this.text('S3_SECRET_ACCESS_KEY');
    if (accessKeyId === null) this.fault('S3_ACCESS_KEY_ID', 'is needed to store recordings in a bucket');
    if (secret === null) this.fault('S3_SECRET_ACCESS_KEY', 'is needed to store recordings in a bucket');
    return {
      kind: 's3',
      endpoint,
      region,
      bucket,
      prefix: prefix.replace(/^\/+|\/+$/g, ''),
      accessKeyId: accessKeyId ?? '',
      secretAccessKey: new Secret(secret ?? ''),
    };
  }

  /** What only several settings together can get wrong. */
  checkCluster({ trunk, upstream, redisUrls, cluster, secret, relayAllow }: Config): void {
    if (upstream.kind === 'cluster' && redisUrls === null) {
      this.fault('UPSTREAM', 'is cluster, which needs SALLYPORT_REDIS_URL: SFU nodes are found there');
    }
    if (upstream.kind === 'embedded' && trunk === null && redisUrls !== null) {
      this.fault('UPSTREAM', 'is embedded, so others cannot reach the SFU: with SALLYPORT_REDIS_URL, leave it out');
    }
    if (upstream.kind === 'udp' && relayAllow.length === 0) {
      const example = 'SALLYPORT_RELAY_ALLOW=192.0.2.10:10000';
      this.fault('UPSTREAM', `is udp, which needs the addresses of the SFUs, such as ${example}`);
    }
    if (upstream.kind === 'udp' && redisUrls !== null) {
      this.fault('REDIS_URL', 'has no use where SALLYPORT_UPSTREAM is udp: this edge holds its sessions; leave it out');
    }
    const hasOthers = trunk !== null || upstream.kind === 'trunk' || upstream.kind === 'cluster';
    if (hasOthers && cluster === null) {
      this.fault('CLUSTER_SECRET', 'is needed where edges and SFU nodes are different processes (or CLUSTER_CERT)');
    }
    if ((upstream.kind === 'trunk' || upstream.kind === 'cluster') && secret === null) {
      this.fault('SECRET', 'is needed where edges and SFU nodes are different processes');
    }
  }

  proxyFrom(): readonly string[] {
    return this.list('PROXY_FROM').filter((block) => {
      try {
        return !new NetworkSet([block]).empty;
      } catch {
        this.faultOf('PROXY_FROM', block, 'is neither an address nor a CIDR block such as 10.0.0.0/8');
        return false;
      }
    });
  }

  relayAllow(): readonly string[] {
    return this.list('RELAY_ALLOW').filter((entry) => {
      try {
        parseRelayAllow(entry);
        return true;
      } catch {
        const forms = '10.0.0.0/8, 192.0.2.1:3478 or [2001:db8::]/32:1024-65535';
        this.faultOf('RELAY_ALLOW', entry, `is no address or CIDR block with or without ports, such as ${forms}`);
        return false;
      }
    });
  }

  origins(): readonly string[] {
    return this.list('ORIGINS').filter((origin) => {
      if (origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin)) return true;
      this.bad('ORIGINS', 'must be web origins such as https://app.example, separated by commas, or *');
      return false;
    });
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part as object);
  return Object.freeze(value);
}
