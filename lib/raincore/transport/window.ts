// How many packets of bulk may be on their way to a peer: grows with what arrives, halves with what is lost. One per peer.
import { WINDOW_MAX_PACKETS, WINDOW_MIN_PACKETS, WINDOW_START_PACKETS } from "./limits.js";

export class Window {
  #packets = WINDOW_START_PACKETS;
  /** Up to here it doubles in a round trip, from there on it grows by one. */
  #threshold = WINDOW_MAX_PACKETS;
  #cut_ms = Number.NEGATIVE_INFINITY;
  inFlight = 0;

  get packets(): number {
    return Math.floor(this.#packets);
  }

  get hasRoom(): boolean {
    return this.inFlight < this.packets;
  }

  arrived(count: number): void {
    const grown = this.#packets < this.#threshold ? count : count / this.#packets;
    this.#packets = Math.min(WINDOW_MAX_PACKETS, this.#packets + grown);
  }

  /** Losses among what was sent before the last cut are that cut's. */
  lost(sent_ms: number, now_ms: number): void {
    if (sent_ms <= this.#cut_ms) return;
    this.#halve(now_ms);
    this.#packets = this.#threshold;
  }

  /** Nothing arrives any more: a few packets are enough to find out when that changes. */
  timedOut(sent_ms: number, now_ms: number): void {
    if (sent_ms > this.#cut_ms) this.#halve(now_ms);
    this.#packets = WINDOW_MIN_PACKETS;
  }

  #halve(now_ms: number): void {
    this.#cut_ms = now_ms;
    this.#threshold = Math.max(WINDOW_MIN_PACKETS, this.#packets / 2);
  }
}
