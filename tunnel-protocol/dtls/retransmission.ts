/** When to send a flight again (RFC 6347 section 4.2.4.1), and when to give up. */

/** The path's round trip is unknown: short, because a datagram too many costs little and a second costs a user. */
const defaultTimeoutMs = 150;
const shortestTimeoutMs = 100;
const longestTimeoutMs = 2000;
/** From the first flight on. */
const handshakeLimitMs = 30_000;
/** After something was refused: long enough for the honest peer to come through if a forger was at work. */
const refusalLimitMs = 5000;
/** A peer's retransmission that comes sooner after our flight than this is most likely a doubled datagram. */
const answerSpacingMs = 40;
/** After so many answers with one flight the spacing grows: anyone can copy an unprotected message. */
const quickAnswers = 8;
const slowAnswerSpacingMs = 500;

export class RetransmissionTimer {
  /** Of a new flight's first transmission. */
  #firstTimeoutMs: number;
  #timeoutMs: number;
  #sentAt = 0;
  #resendAt: number | null = null;
  #deadline: number | null = null;
  #answers = 0;
  #sentOnce = false;

  constructor(roundTripMs: number | null) {
    this.#firstTimeoutMs = roundTripMs === null ? defaultTimeoutMs : clampTimeout(2 * roundTripMs);
    this.#timeoutMs = this.#firstTimeoutMs;
  }

  /** A new flight went out that awaits an answer. */
  sent(now: number): void {
    this.#deadline ??= now + handshakeLimitMs;
    this.#sentAt = now;
    this.#sentOnce = true;
    this.#answers = 0;
    // Not what the flight before had backed off to (RFC 6347 section 4.2.4.1 would keep it): its losses are over.
    this.#timeoutMs = this.#firstTimeoutMs;
    this.#resendAt = now + this.#timeoutMs;
  }

  /** The peer's whole answer is here. Measures the round trip if nothing was sent twice (Karn). */
  answered(now: number): void {
    if (this.#sentOnce && this.#resendAt !== null) this.#firstTimeoutMs = clampTimeout(2 * (now - this.#sentAt));
    this.#resendAt = null;
  }

  /** True when the flight is due; then it is to be sent now. */
  takeDue(now: number): boolean {
    if (this.#resendAt === null || now < this.#resendAt) return false;
    this.#timeoutMs = Math.min(2 * this.#timeoutMs, longestTimeoutMs);
    this.#resent(now);
    return true;
  }

  /** The peer retransmits: true when our flight should be sent again now. */
  takeAnswer(now: number): boolean {
    const spacingMs = this.#answers < quickAnswers ? answerSpacingMs : slowAnswerSpacingMs;
    if (now - this.#sentAt < spacingMs) return false;
    this.#answers++;
    this.#resent(now);
    return true;
  }

  /** Something was refused: the handshake has only so long to go through nevertheless, and no time at all if `over`. */
  refused(now: number, over: boolean): void {
    this.#deadline = Math.min(this.#deadline ?? Infinity, over ? now : now + refusalLimitMs);
  }

  expired(now: number): boolean {
    return this.#deadline !== null && now >= this.#deadline;
  }

  /** The handshake is complete: only `takeAnswer` goes on, for a last flight sent now. */
  stop(now: number): void {
    this.#resendAt = null;
    this.#deadline = null;
    this.#sentAt = now;
    this.#answers = 0;
  }

  nextTimeout(): number | null {
    if (this.#resendAt === null || this.#deadline === null) return this.#resendAt ?? this.#deadline;
    return Math.min(this.#resendAt, this.#deadline);
  }

  #resent(now: number): void {
    this.#sentAt = now;
    this.#sentOnce = false;
    if (this.#resendAt !== null) this.#resendAt = now + this.#timeoutMs;
  }
}

function clampTimeout(ms: number): number {
  return Math.min(Math.max(ms, shortestTimeoutMs), longestTimeoutMs);
}
