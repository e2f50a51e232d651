/**
 * A hop that reads TLS: connections to port 443 of the edge end at a program on the router, with a certificate of the
 * company, and go on from there as HTTP/1.1 over TLS of its own. Nothing else leaves. What it does to HTTP is the profile's.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import path from 'node:path';
import { makeCompanyCertificate, type CompanyCertificate } from './company-certificate.ts';
import { untilListening, type StartIntermediary } from './intermediary.ts';
import { edgeAddress, type Lab } from './namespaces.ts';

const port = 8443;

/** The firewall that goes with it. */
export const tlsHopRules = `table ip nat {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "inside" ip daddr ${edgeAddress} tcp dport 443 redirect to :${String(port)}
  }
}
table inet firewall {
  chain forward {
    type filter hook forward priority filter; policy accept;
    counter drop
  }
}`;

export interface HaproxyHop {
  /** What haproxy(1) is to do with requests and answers: lines of a frontend. */
  readonly rules?: readonly string[];
  /** Neither way brought a byte for so long: the connection is cut. */
  readonly idleSeconds?: number;
  /** Connections are cut at this age, busy or not. */
  readonly mostSeconds?: number;
}

export function haproxyHop({ rules = [], idleSeconds = 3600, mostSeconds }: HaproxyHop): StartIntermediary {
  return async (lab) => {
    const certificate = makeCompanyCertificate(lab.folder, edgeAddress);
    const control = path.join(lab.folder, 'haproxy.sock');
    const idle = `${String(idleSeconds)}s`;
    const lines = [
      'global',
      `stats socket ${control} mode 600 level admin`,
      'defaults',
      'mode http',
      'timeout connect 5s',
      `timeout client ${idle}`,
      `timeout server ${idle}`,
      `timeout tunnel ${idle}`,
      'frontend inside',
      `bind :${String(port)} ssl crt ${certificate.bundleFile} alpn h2,http/1.1`,
      ...rules,
      'default_backend edge',
      'backend edge',
      `server edge ${edgeAddress}:443 ssl verify none alpn http/1.1`,
    ];
    const file = path.join(lab.folder, 'haproxy.cfg');
    await writeFile(file, `${lines.join('\n')}\n`);
    const close = await startProgram(lab, ['haproxy', '-db', '-q', '-f', file]);
    let cut = 0;
    const reap = async (mostSeconds: number): Promise<void> => {
      cut += await cutOld(control, mostSeconds);
    };
    const reaper = mostSeconds === undefined ? null : setInterval(() => void reap(mostSeconds), reapIntervalMs);
    return {
      ...hop(certificate, async () => {
        if (reaper !== null) clearInterval(reaper);
        await close();
      }),
      facts: () => Promise.resolve(mostSeconds === undefined ? [] : [`${String(cut)} connections cut for their age`]),
    };
  };
}

/**
 * Lets TLS through unread, but looks at how each connection begins. What is TLS with an ALPN of HTTP goes on; STUN (its cookie
 * at byte 4), RFC 4571 (the same at byte 6), TLS without such an ALPN, and what says nothing for 5 s, are reset.
 */
export const inspectingHop: StartIntermediary = async (lab) => {
  const control = path.join(lab.folder, 'haproxy.sock');
  const isHttp = '{ req.ssl_hello_type 1 } { req.ssl_alpn -m sub h2 http/1.1 }';
  const lines = [
    'global',
    `stats socket ${control} mode 600 level admin`,
    'defaults',
    'mode tcp',
    'timeout connect 5s',
    'timeout client 3600s',
    'timeout server 3600s',
    'frontend inside',
    `bind :${String(port)}`,
    // Closes by a reset.
    'option nolinger',
    'tcp-request inspect-delay 5s',
    'tcp-request content reject if { req.payload(4,4),hex -m str 2112A442 }',
    'tcp-request content reject if { req.payload(6,4),hex -m str 2112A442 }',
    `tcp-request content accept if ${isHttp}`,
    'tcp-request content reject if { req.ssl_hello_type 1 }',
    'tcp-request content reject if WAIT_END',
    'default_backend edge',
    'backend edge',
    `server edge ${edgeAddress}:443`,
  ];
  const file = path.join(lab.folder, 'haproxy.cfg');
  await writeFile(file, `${lines.join('\n')}\n`);
  const close = await startProgram(lab, ['haproxy', '-db', '-q', '-f', file]);
  return {
    facts: async () => [`${String(await connectionsDenied(control))} connections reset for how they began`],
    close,
  };
};

/** Of the frontend `inside`, by haproxy's management socket: field `dreq` of its statistics (management guide, section 9.1). */
async function connectionsDenied(control: string): Promise<number> {
  const [head = '', ...rows] = (await tell(control, 'show stat')).split('\n');
  const column = head.replace('# ', '').split(',').indexOf('dreq');
  const row = rows.find((line) => line.startsWith('inside,FRONTEND,'));
  return Number(row?.split(',')[column] ?? 0);
}

/**
 * Somebody answers in place of every server, with a certificate that no machine trusts, and sends all to a page of its own.
 * `ca` is of an authority that signed something else.
 */
export const captiveHop: StartIntermediary = async (lab) => {
  const portal = haproxyHop({ rules: ['http-request redirect location http://portal.example/sign-in'] });
  const started = await portal(lab);
  const { ca } = makeCompanyCertificate(lab.folder, edgeAddress);
  return { ...started, ca };
};

/**
 * nginx as it comes, which takes `Upgrade` out, but with buffers for whole answers, and without an ear for X-Accel-Buffering.
 * HTTP/1.1 alone: on h2 it lets parts pass.
 */
export const bufferingHop: StartIntermediary = async (lab) => {
  const certificate = makeCompanyCertificate(lab.folder, edgeAddress);
  const folder = lab.folder;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/nginx-${kind};`,
  );
  const config = `user root;
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/nginx.log;
events { worker_connections 512; }
http {
  access_log off;
  ${temporary.join('\n  ')}
  server {
    listen ${String(port)} ssl;
    ssl_certificate ${certificate.certificateFile};
    ssl_certificate_key ${certificate.keyFile};
    location / {
      proxy_pass https://${edgeAddress};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_ignore_headers X-Accel-Buffering;
      proxy_read_timeout 60s;
      proxy_buffering on;
      proxy_buffer_size 256k;
      proxy_buffers 16 256k;
      proxy_busy_buffers_size 3m;
      postpone_output 1048576;
    }
  }
}
`;
  const file = path.join(folder, 'nginx.conf');
  await writeFile(file, config);
  return hop(certificate, await startProgram(lab, ['nginx', '-e', `${folder}/nginx.log`, '-c', file]));
};

function hop({ ca, pin }: CompanyCertificate, close: () => Promise<void>): Awaited<ReturnType<StartIntermediary>> {
  return { ca, pin, facts: () => Promise.resolve([]), close };
}

/** Resolves, when the program listens, with what ends it. */
async function startProgram(lab: Lab, command: readonly string[]): Promise<() => Promise<void>> {
  const child = lab.router.spawn(command, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
  const ended = once(child, 'exit').then(() => {
    throw new Error(`${command[0] ?? ''} ended: ${said}`);
  });
  ended.catch(() => undefined);
  await Promise.race([untilListening(lab.router, port), ended]);
  return async () => {
    child.kill('SIGTERM');
    await ended.catch(() => undefined);
  };
}

const reapIntervalMs = 1000;

/** How many it closed: the sessions of haproxy that are older, by its management socket (management guide, section 9.3). */
async function cutOld(control: string, mostSeconds: number): Promise<number> {
  let cut = 0;
  for (const line of (await tell(control, 'show sess')).split('\n')) {
    const [, session, age = ''] = /^(0x[0-9a-f]+):.* fe=inside .* age=(\w+) /.exec(line) ?? [];
    if (session === undefined || secondsOf(age) < mostSeconds) continue;
    await tell(control, `shutdown session ${session}`);
    cut++;
  }
  return cut;
}

/** Of `1m2s` and the like. */
export function secondsOf(age: string): number {
  const units: Readonly<Record<string, number>> = { d: 86_400, h: 3600, m: 60, s: 1 };
  let seconds = 0;
  for (const [, count, unit = ''] of age.matchAll(/(\d+)([dhms])/g)) seconds += Number(count) * (units[unit] ?? 0);
  return seconds;
}

/** What it answers; empty when it is not there any more. */
async function tell(control: string, command: string): Promise<string> {
  const socket = createConnection(control);
  socket.end(`${command}\n`);
  let answer = '';
  try {
    for await (const chunk of socket) answer += String(chunk);
  } catch {
    return '';
  }
  return answer;
}
