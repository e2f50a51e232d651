/**
 * Frames of tracks, and tracks of frames: by track processors and generators (W3C mediacapture-transform, as Chromium has
 * them), and where they are missing by a canvas and an audio worklet. What cannot be had is null.
 */
import type { FrameSink, FrameSource } from './media-worker/messages.ts';

type Frame = VideoFrame | AudioData;
type ProcessorClass = new (options: { track: MediaStreamTrack; maxBufferSize?: number }) => {
  readonly readable: ReadableStream<Frame>;
};
type GeneratorClass = new (options: { kind: 'audio' | 'video' }) => MediaStreamTrack & {
  readonly writable: WritableStream<Frame>;
};
interface TrackClasses {
  readonly MediaStreamTrackProcessor?: ProcessorClass;
  readonly MediaStreamTrackGenerator?: GeneratorClass;
}

export interface SourceOfFrames {
  readonly frames: FrameSource;
  readonly transfer: Transferable[];
  readonly stop: () => void;
}

export interface TrackOfFrames {
  readonly track: MediaStreamTrack;
  readonly sink: FrameSink;
  readonly transfer: Transferable[];
}

const framesPerSecond = 25;
/** Of what the worklet plays: older sound is left out. */
const maxQueuedSamples = 14_400;
const sampleRate = 48_000;

/** Both processors in one text: a worklet module is loaded by URL, and a Blob's is of every origin. */
const workletText = `
class Play extends AudioWorkletProcessor {
  constructor() { super(); this.q = []; this.n = 0; this.at = 0;
    this.port.onmessage = ({ data }) => { data.port.onmessage = ({ data: { samples } }) => {
      this.q.push(samples); this.n += samples.length;
      while (this.n > ${String(maxQueuedSamples)}) { this.n -= this.q.shift().length - this.at; this.at = 0; } }; }; }
  process(_, [[out]]) {
    for (let i = 0; i < out.length && this.q.length > 0; i++) {
      out[i] = this.q[0][this.at++]; this.n--;
      if (this.at === this.q[0].length) { this.q.shift(); this.at = 0; } }
    return true; } }
class Record extends AudioWorkletProcessor {
  constructor() { super(); this.to = null; this.b = new Float32Array(480); this.at = 0;
    this.port.onmessage = ({ data }) => { this.to = data.port; }; }
  process([[input]]) {
    if (this.to === null) return true;
    for (let i = 0; i < 128; i++) {
      this.b[this.at++] = input === undefined ? 0 : input[i];
      if (this.at === 480) { const samples = this.b.slice(); this.to.postMessage({ samples }, [samples.buffer]); this.at = 0; } }
    return true; } }
registerProcessor('sallyport-play', Play);
registerProcessor('sallyport-record', Record);`;

let sound: Promise<AudioContext> | null = null;

export async function framesOf(track: MediaStreamTrack): Promise<SourceOfFrames | null> {
  const { MediaStreamTrackProcessor: Processor } = globalThis as TrackClasses;
  if (Processor !== undefined) {
    const { readable } = new Processor({ track, ...(track.kind === 'video' ? { maxBufferSize: 2 } : {}) });
    return { frames: readable, transfer: [readable], stop: () => undefined };
  }
  return track.kind === 'video' ? picturesOf(track) : soundOf(track);
}

export async function trackOf(kind: 'audio' | 'video'): Promise<TrackOfFrames | null> {
  const { MediaStreamTrackGenerator: Generator } = globalThis as TrackClasses;
  if (Generator !== undefined) {
    const track = new Generator({ kind });
    return { track, sink: track.writable, transfer: [track.writable] };
  }
  return kind === 'video' ? canvasTrack() : workletTrack();
}

/** Pictures of a hidden video element, at a camera's pace. */
function picturesOf(track: MediaStreamTrack): SourceOfFrames {
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  void video.play().catch(() => undefined);
  const { port1, port2 } = new MessageChannel();
  const timer = setInterval(() => {
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || video.videoWidth === 0) return;
    const frame = new VideoFrame(video, { timestamp: Math.round(performance.now() * 1_000) });
    port1.postMessage(frame, [frame]);
  }, 1_000 / framesPerSecond);
  const stop = (): void => {
    clearInterval(timer);
    video.srcObject = null;
    port1.close();
  };
  return { frames: port2, transfer: [port2], stop };
}

async function soundOf(track: MediaStreamTrack): Promise<SourceOfFrames> {
  const context = await soundContext();
  const node = new AudioWorkletNode(context, 'sallyport-record', { numberOfOutputs: 0, channelCount: 1 });
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const { port1, port2 } = new MessageChannel();
  node.port.postMessage({ port: port1 }, [port1]);
  source.connect(node);
  const stop = (): void => {
    source.disconnect();
    node.port.close();
  };
  return { frames: port2, transfer: [port2], stop };
}

function canvasTrack(): TrackOfFrames | null {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  const [track] = context === null ? [] : canvas.captureStream().getVideoTracks();
  if (context === null || track === undefined) return null;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data: frame }: MessageEvent<VideoFrame>) => {
    if (canvas.width !== frame.displayWidth) canvas.width = frame.displayWidth;
    if (canvas.height !== frame.displayHeight) canvas.height = frame.displayHeight;
    context.drawImage(frame, 0, 0);
    frame.close();
  };
  return { track, sink: port2, transfer: [port2] };
}

async function workletTrack(): Promise<TrackOfFrames | null> {
  const context = await soundContext();
  const node = new AudioWorkletNode(context, 'sallyport-play', { numberOfInputs: 0, outputChannelCount: [1] });
  const destination = context.createMediaStreamDestination();
  node.connect(destination);
  const { port1, port2 } = new MessageChannel();
  node.port.postMessage({ port: port1 }, [port1]);
  const [track] = destination.stream.getAudioTracks();
  return track === undefined ? null : { track, sink: port2, transfer: [port2] };
}

function soundContext(): Promise<AudioContext> {
  sound ??= (async () => {
    const context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
    const url = URL.createObjectURL(new Blob([workletText], { type: 'text/javascript' }));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    return context;
  })();
  return sound;
}
