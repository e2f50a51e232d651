/** How loud a microphone is, for a meter: reads a track through Web Audio, without playing it. */

/** RMS that lights the whole meter; speech near a laptop stays below it. */
const fullScale = 0.22;

export class LevelMeter {
  readonly #context = new AudioContext();
  readonly #source: MediaStreamAudioSourceNode;
  readonly #analyser: AnalyserNode;
  readonly #samples: Float32Array<ArrayBuffer>;

  constructor(track: MediaStreamTrack) {
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    // Without a click on the page the browser keeps it suspended, and the meter dark.
    void this.#context.resume();
  }

  /** 0–1, perceived loudness of the last 20 ms. */
  read(): number {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    return Math.min(1, Math.sqrt(Math.sqrt(sum / this.#samples.length) / fullScale));
  }

  close(): void {
    this.#source.disconnect();
    void this.#context.close();
  }
}
