/**
 * The agent where nothing leaves but through an HTTP proxy: a page in a stock Chromium, told of `turn:127.0.0.1` and relay only,
 * has a call with an SFU that is not ours behind an edge with `SALLYPORT_UPSTREAM=udp`.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { chromiumMissing } from '../e2e/chromium.ts';
import { launchInClientNamespace } from './chromium-client.ts';
import { connectProxy } from './connect-proxies.ts';
import { startLabEdge } from './lab-edge.ts';
import { labMissing, missingNeed } from './lab-missing.ts';
import { edgeAddress, labEnvironment, withNamespaces, type Lab } from './namespaces.ts';
import { forwardRules } from './profile.ts';

t.setTimeout(170_000);

const skip = labMissing || chromiumMissing || (process.env['CI'] !== 'true' && missingNeed(['tinyproxy']));
const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));
const foreignSfu = fileURLToPath(new URL('../../gateway/testing/foreign-sfu.js', import.meta.url));
/** One of these two is the foreign SFU's. */
const sfuPort = 10_000;

t.test('a stock Chromium, relay only, through a CONNECT proxy to an SFU of others', { skip }, (t) =>
  withNamespaces({ firewall: forwardRules('counter drop') }, async (lab) => {
    const proxy = await connectProxy('tinyproxy')(lab);
    const edge = await startLabEdge(lab, {
      SALLYPORT_UPSTREAM: 'udp',
      SALLYPORT_RELAY_ALLOW: [sfuPort, sfuPort + 1].map((port) => `${edgeAddress}:${String(port)}`).join(','),
    });
    const sfu = lab.edge.fork(foreignSfu);
    const agent = await startAgent(lab, edge.url, proxy.proxy?.url ?? '');
    t.match(agent.configuration, /"turn:127\.0\.0\.1:3478\?transport=udp"/);
    const chromium = await launchInClientNamespace(lab);
    try {
      const page = await (await chromium.context()).newPage();
      await page.goto('about:blank');
      await page.addScriptTag({ content: pageScript });
      const offer: string = await page.evaluate(`callOut(${agent.configuration})`);
      t.notMatch(offer, / typ (host|srflx)/, 'the page offers nothing but relayed addresses');
      sfu.send({ address: edgeAddress, port: sfuPort, sdp: offer });
      const [{ sdp }] = (await once(sfu, 'message')) as [{ sdp: string }];
      const call = await page.evaluate(`takeAnswer(${JSON.stringify(sdp)})`);
      t.match(call, { echo: 'through the wall', candidateType: 'relay', url: /^turn:127\.0\.0\.1:3478/ });
      const media: Media = await page.evaluate('cameBack(10, 25)');
      t.ok(media.frames >= 10 && media.sounds >= 25, `pictures and sound came back: ${JSON.stringify(media)}`);
      t.match((await proxy.facts())[0], /^[1-9]\d* mentions of CONNECT/);
      t.same(edge.errors, []);
    } finally {
      await chromium.close();
      agent.process.kill();
      sfu.kill();
      await proxy.close();
    }
  }),
);

interface Agent {
  readonly process: ChildProcess;
  /** Of an RTCPeerConnection, as the agent printed it. */
  readonly configuration: string;
}

/** Resolves when it has printed what applications are to be told. */
function startAgent(lab: Lab, url: string, proxy: string): Promise<Agent> {
  const child = lab.client.spawn([process.execPath, program, 'agent', url, '--insecure'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...labEnvironment(), HTTPS_PROXY: proxy },
  });
  let said = '';
  return new Promise((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const configuration = /^ {2}(\{.*\})$/m.exec(said)?.[1];
      if (configuration !== undefined) resolve({ process: child, configuration });
    });
    child.once('exit', () => {
      reject(new Error(`the agent ended: ${said}`));
    });
  });
}

/** What the page does, as it would be written in one: a call with a picture, a tone and a data channel, and what came back. */
const pageScript = `
let connection, echo;
const shown = document.createElement('video');
async function callOut(configuration) {
  const canvas = document.createElement('canvas');
  const paint = canvas.getContext('2d');
  setInterval(() => {
    paint.fillStyle = 'hsl(' + (Date.now() % 360) + ' 80% 50%)';
    paint.fillRect(0, 0, canvas.width, canvas.height);
  }, 50);
  const audio = new AudioContext();
  const sound = audio.createMediaStreamDestination();
  const tone = audio.createOscillator();
  tone.connect(sound);
  tone.start();
  connection = new RTCPeerConnection(configuration);
  connection.addEventListener('track', ({ track }) => {
    if (track.kind !== 'video') return;
    shown.muted = true;
    shown.srcObject = new MediaStream([track]);
    document.body.append(shown);
    void shown.play();
  });
  const channel = connection.createDataChannel('echo');
  channel.onopen = () => channel.send('through the wall');
  echo = new Promise((resolve) => (channel.onmessage = ({ data }) => resolve(data)));
  for (const track of [...canvas.captureStream(20).getTracks(), ...sound.stream.getTracks()]) {
    connection.addTrack(track, sound.stream);
  }
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) => connection.addEventListener('icegatheringstatechange', resolve, { once: true }));
  }
  return connection.localDescription.sdp;
}
async function takeAnswer(sdp) {
  await connection.setRemoteDescription({ type: 'answer', sdp });
  const text = await echo;
  const stats = await connection.getStats();
  const transport = [...stats.values()].find(({ type }) => type === 'transport');
  const { candidateType, url } = stats.get(stats.get(transport.selectedCandidatePairId).localCandidateId);
  return { echo: text, candidateType, url };
}
async function cameBack(frames, sounds) {
  for (;;) {
    await new Promise((resolve) => shown.requestVideoFrameCallback(resolve));
    const all = [...(await connection.getStats()).values()].filter(({ type }) => type === 'inbound-rtp');
    const of = (kind) => all.find((report) => report.kind === kind);
    const media = { frames: of('video')?.framesDecoded ?? 0, sounds: of('audio')?.packetsReceived ?? 0 };
    if (media.frames >= frames && media.sounds >= sounds) return media;
  }
}
`;

interface Media {
  readonly frames: number;
  readonly sounds: number;
}
