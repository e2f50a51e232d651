/** One participant in a recording: microphone and camera go into one file, the screen into another. */
import { publishSections, type MediaKind, type Source } from '../../tunnel-protocol/index.ts';
import type { Participant } from '../participant.ts';
import { videoDetails } from './codec-details.ts';
import { FileGroup } from './file-group.ts';
import { note, type ManifestFile, type ManifestParticipant, type ManifestTrack } from './manifest.ts';
import { RecordedFile, type OpenedTrack } from './recorded-file.ts';
import type { RecordingPlace } from './recording-store.ts';
import { TrackRecorder, type TimedFrame, type TrackRecorderDeps } from './track-recorder.ts';
import { isWebm } from './webm-writer.ts';

/** Frames of one track that are further apart have a gap between them, in ms: a screen at rest sends few. */
export const gapMs: Readonly<Record<MediaKind, number>> = { audio: 1000, video: 5000 };

export interface ParticipantRecorderDeps extends TrackRecorderDeps {
  readonly place: RecordingPlace;
  /** The recording's beginning on the SFU's clock, in ms. */
  readonly startMs: number;
  readonly track: (track: ManifestTrack) => void;
  readonly file: (file: ManifestFile) => void;
}

interface Recorded {
  readonly recorder: TrackRecorder;
  readonly entry: ManifestTrack;
  readonly group: FileGroup;
  wasMuted: boolean;
}

export class ParticipantRecorder {
  readonly entry: ManifestParticipant;
  readonly #deps: ParticipantRecorderDeps;
  readonly #participant: Participant;
  readonly #recorded = new Map<Source, Recorded>();
  readonly #groups: Readonly<Record<Source, FileGroup>>;
  readonly #open = new Map<RecordedFile, ManifestFile>();
  #files = 0;

  constructor(deps: ParticipantRecorderDeps, participant: Participant, now: number) {
    this.#deps = deps;
    this.#participant = participant;
    const { id, session } = participant;
    const joinedMs = Math.round(now - deps.startMs);
    this.entry = { id, identity: session.identity, name: session.name, joinedMs, leftMs: null };
    const person = this.#group('camera');
    this.#groups = { microphone: person, camera: person, screen: this.#group('screen') };
  }

  /** Takes what is published and not muted, and nothing else. */
  follow(now: number): void {
    for (const { source, kind } of publishSections) {
      const track = this.#participant.ingress.tracks[source];
      const recorded = this.#recorded.get(source);
      if (!track.live) {
        if (recorded?.recorder.isOpen === true) recorded.recorder.close(now);
        continue;
      }
      if (recorded?.recorder.isOpen === true) continue;
      const { recorder } = recorded ?? this.#record(source, kind);
      recorder.open(now);
    }
  }

  tick(now: number): void {
    for (const recorded of this.#recorded.values()) {
      const { recorder, entry } = recorded;
      recorder.tick(now);
      entry.lostPackets = recorder.lost;
      if (!recorder.isOpen) recorded.wasMuted = true;
    }
    this.#groups.camera.tick(now);
    this.#groups.screen.tick(now);
    for (const [file, entry] of this.#open) this.#measure(file, entry);
  }

  end(now: number): void {
    for (const { recorder } of this.#recorded.values()) recorder.close(now);
    this.#groups.camera.end(now);
    this.#groups.screen.end(now);
  }

  #record(source: Source, kind: MediaKind): Recorded {
    const group = this.#groups[source];
    const track = this.#participant.ingress.tracks[source];
    const entry: ManifestTrack = {
      participant: this.entry.id,
      source,
      kind,
      codec: '',
      startMs: null,
      endMs: null,
      frames: 0,
      lostPackets: 0,
      droppedFrames: 0,
      gaps: [],
      sizes: [],
    };
    const recorder = new TrackRecorder(this.#deps, track, (frame, now) => {
      this.#note(recorded, frame);
      group.frame(source, frame, now);
    });
    const recorded: Recorded = { recorder, entry, group, wasMuted: false };
    this.#recorded.set(source, recorded);
    group.add(recorder);
    this.#deps.track(entry);
    return recorded;
  }

  #note(recorded: Recorded, { atMs, keyFrame, data }: TimedFrame): void {
    const { entry, recorder } = recorded;
    const at = Math.round(atMs - this.#deps.startMs);
    entry.codec = recorder.codec?.name ?? '';
    entry.startMs ??= at;
    entry.frames++;
    const before = entry.endMs ?? at;
    if (recorded.wasMuted || at - before > gapMs[entry.kind]) {
      note(entry.gaps, { fromMs: before, toMs: at, cause: recorded.wasMuted ? 'muted' : 'missing' });
    }
    recorded.wasMuted = false;
    entry.endMs = at;
    if (!keyFrame || recorder.forwarded === 'audio') return;
    const size = videoDetails(recorder.forwarded, data);
    const last = entry.sizes.at(-1);
    if (size === null || (size.width === last?.width && size.height === last.height)) return;
    note(entry.sizes, { atMs: at, width: size.width, height: size.height });
  }

  #group(name: string): FileGroup {
    return new FileGroup({
      begin: (tracks, startMs) => this.#begin(name, tracks, startMs),
      ended: (file) => {
        const entry = this.#open.get(file);
        if (entry !== undefined) this.#measure(file, entry);
        this.#open.delete(file);
      },
    });
  }

  #begin(name: string, tracks: readonly OpenedTrack[], startMs: number): RecordedFile {
    const fileName = `${this.entry.id}-${name}-${String(++this.#files)}.${isWebm(tracks) ? 'webm' : 'mkv'}`;
    const file = new RecordedFile(this.#deps.place.file(fileName), tracks, startMs);
    const start = Math.round(startMs - this.#deps.startMs);
    const entry: ManifestFile = {
      name: fileName,
      participant: this.entry.id,
      startMs: start,
      endMs: start,
      bytes: file.bytes,
      tracks: tracks.map(({ source, codec }, at) => ({ number: at + 1, source, codec })),
    };
    this.#open.set(file, entry);
    this.#deps.file(entry);
    return file;
  }

  #measure(file: RecordedFile, entry: ManifestFile): void {
    entry.endMs = Math.round(file.endMs - this.#deps.startMs);
    entry.bytes = file.bytes;
    for (const [source, dropped] of file.takeDropped()) {
      const recorded = this.#recorded.get(source);
      if (recorded !== undefined) recorded.entry.droppedFrames += dropped;
    }
  }
}
