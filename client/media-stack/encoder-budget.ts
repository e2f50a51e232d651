/** How many bits per second each layer of the camera may take, from what the tunnel delivers. Sans-I/O. */

export interface LayerBudget {
  /** 0: this layer is not sent. */
  readonly high: number;
  readonly low: number;
}

export const highBitrate = 1_000_000;
export const lowBitrate = 100_000;
/** Below this the large picture is worth less than the small one. */
const minHighBitrate = 150_000;
const audioBitrate = 40_000;
/** Room for headers, key frames, and for the tunnel to find out that it could do more. */
const share = 0.85;
/** After the tunnel was the bottleneck, per second. */
const growth = 1.15;

export class EncoderBudget {
  #limit = Infinity;
  #at: number | null = null;

  /** `deliveryRate`: bit/s where that is less than what was to be sent lately; else null. Ask about four times a second. */
  update(deliveryRate: number | null, now: number): LayerBudget {
    const seconds = this.#at === null ? 0 : (now - this.#at) / 1_000;
    this.#at = now;
    if (deliveryRate !== null) this.#limit = deliveryRate * share;
    else if (this.#limit < highBitrate + lowBitrate + audioBitrate) this.#limit *= growth ** seconds;
    else this.#limit = Infinity;
    const video = this.#limit - audioBitrate;
    const low = Math.max(30_000, Math.min(lowBitrate, video));
    const high = Math.min(highBitrate, video - low);
    return { low, high: high < minHighBitrate ? 0 : high };
  }
}
