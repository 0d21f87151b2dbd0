// One message on its way out: which of its parts were sent, arrived, or are lost. Owned by the sender, which decides when
// a part goes and over which path.
import { REORDER_PACKETS, SPAN_PARTS } from "./limits.js";
import { type HaveMessage, type PartHead, type Priority, partCount } from "./packets.js";

const UNSENT = 0;
const IN_FLIGHT = 1;
const LOST = 2;
const ARRIVED = 3;
const ATTEMPTS_MAX = 255;

export interface OutgoingInit {
  /** What the caller knows it by. */
  readonly handle: number;
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly head: PartHead;
  readonly failAt_ms: number;
  readonly now_ms: number;
}

/** What a have changed. */
export interface Progress {
  /** Parts that left the window: arrived, or taken for lost. */
  readonly landed: number;
  readonly arrived: number;
  /** When the last of the parts now taken for lost was sent. */
  readonly lostSent_ms: number | undefined;
  readonly roundTrip_ms: number | undefined;
}

export class Outgoing {
  readonly handle: number;
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly head: PartHead;
  readonly priority: Priority;
  readonly failAt_ms: number;
  readonly parts: number;
  inFlight = 0;
  /** Timeouts since the last progress. */
  timeouts = 0;
  progress_ms: number;
  /** Something is in flight, and is lost if nothing arrives until then. */
  timeoutAt_ms = Number.POSITIVE_INFINITY;
  /** Some parts were overtaken by others, and are lost if they do not arrive until then. */
  suspectAt_ms = Number.POSITIVE_INFINITY;
  /** Of the receiver that collects it, and its number for that: another life, or a later collection, has nothing of what was there before. */
  #receiverLife: bigint | undefined;
  #collection = 0;
  #arrivedParts = 0;
  #base = 0;
  #next = 0;
  #sends = 0;
  /** The place in the order of sends of the last one that arrived. */
  #newest = 0;
  readonly #state: Uint8Array;
  readonly #attempts: Uint8Array;
  readonly #order: Uint32Array;
  readonly #sent_ms: Float64Array;
  #lost: number[] = [];
  #lostAt = 0;

  constructor({ handle, to, bytes, head, failAt_ms, now_ms }: OutgoingInit) {
    this.handle = handle;
    this.to = to;
    this.bytes = bytes;
    this.head = head;
    this.priority = head.priority;
    this.failAt_ms = failAt_ms;
    this.progress_ms = now_ms;
    this.parts = partCount(head.total, head.partBytes);
    this.#state = new Uint8Array(this.parts);
    this.#attempts = new Uint8Array(this.parts);
    this.#order = new Uint32Array(this.parts);
    this.#sent_ms = new Float64Array(this.parts);
  }

  get isWholeSent(): boolean {
    return this.#next === this.parts;
  }

  /** The part to send next: one that was lost, or else a new one. */
  nextPart(): number | undefined {
    while (this.#lostAt < this.#lost.length) {
      const index = this.#lost[this.#lostAt];
      if (index !== undefined && this.#state[index] === LOST) return index;
      this.#lostAt += 1;
    }
    if (this.#lostAt > 0) {
      this.#lost = [];
      this.#lostAt = 0;
    }
    return this.#next < Math.min(this.parts, this.#base + SPAN_PARTS) ? this.#next : undefined;
  }

  /** How often it was sent, this time included. */
  markSent(index: number, now_ms: number): number {
    const attempt = Math.min(ATTEMPTS_MAX, (this.#attempts[index] ?? 0) + 1);
    this.#state[index] = IN_FLIGHT;
    this.#attempts[index] = attempt;
    this.#order[index] = ++this.#sends;
    this.#sent_ms[index] = now_ms;
    this.inFlight += 1;
    if (index === this.#next) this.#next += 1;
    return attempt;
  }

  /**
   * Undefined: it speaks of parts that were never sent, or of a collection that is over. A part that was overtaken is lost if it is not there
   * `patience_ms` after it was sent.
   */
  onHave(have: HaveMessage, now_ms: number, patience_ms: number): Progress | undefined {
    if (have.base > this.#next || have.echoIndex >= this.parts) return undefined;
    if (!this.#isCurrent(have)) return undefined;
    const arrivedBefore = this.#arrivedParts;
    const inFlightBefore = this.inFlight;
    const roundTrip_ms = this.roundTripOf(have, now_ms);
    if (roundTrip_ms !== undefined) this.#newest = Math.max(this.#newest, this.#order[have.echoIndex] ?? 0);
    this.#arrive(have);
    while (this.#state[this.#base] === ARRIVED) this.#base += 1;
    const lostSent_ms = this.loseSuspects(now_ms, patience_ms);
    const arrived = this.#arrivedParts - arrivedBefore;
    if (arrived > 0) {
      this.progress_ms = now_ms;
      this.timeouts = 0;
    }
    return { arrived, landed: inFlightBefore - this.inFlight, lostSent_ms, roundTrip_ms };
  }

  /** Nothing arrived in time. How many parts are lost by that. */
  loseOverdue(timeout_ms: number, now_ms: number): number {
    const before = this.inFlight;
    for (let index = this.#base; index < this.#next; index++) {
      if (this.#state[index] === IN_FLIGHT && (this.#sent_ms[index] ?? 0) + timeout_ms <= now_ms) this.#lose(index);
    }
    return before - this.inFlight;
  }

  get oldestSent_ms(): number {
    let oldest_ms = Number.POSITIVE_INFINITY;
    for (let index = this.#base; index < this.#next; index++) {
      if (this.#state[index] === IN_FLIGHT) oldest_ms = Math.min(oldest_ms, this.#sent_ms[index] ?? oldest_ms);
    }
    return oldest_ms;
  }

  /** The receiver began anew, because it was started again or had thrown its parts away: so does the message. */
  #isCurrent(have: HaveMessage): boolean {
    // Which of two lives is the later one, only the order in which they are heard says; see Receiver.
    const isNewLife = have.life !== this.#receiverLife;
    const order = (have.collection - this.#collection) | 0;
    if (!isNewLife && order < 0) return false;
    if ((isNewLife && this.#receiverLife !== undefined) || (!isNewLife && order > 0)) this.#beginAnew();
    this.#receiverLife = have.life;
    this.#collection = have.collection;
    return true;
  }

  #beginAnew(): void {
    for (let index = 0; index < this.#next; index++) {
      if (this.#state[index] === ARRIVED) {
        this.#state[index] = LOST;
        this.#lost.push(index);
      }
    }
    this.#base = 0;
    this.#arrivedParts = 0;
  }

  /** Only the very send that the receiver names is measured (Karn's rule, with the doubt taken away). */
  roundTripOf(have: HaveMessage, now_ms: number): number | undefined {
    const { echoIndex, echoAttempt } = have;
    const isBeyondDoubt = echoAttempt > 0 && echoAttempt < ATTEMPTS_MAX && this.#attempts[echoIndex] === echoAttempt;
    return isBeyondDoubt ? now_ms - (this.#sent_ms[echoIndex] ?? now_ms) : undefined;
  }

  #arrive(have: HaveMessage): void {
    for (let index = this.#base; index < have.base; index++) this.#arrivePart(index);
    for (let at = 0; at < have.bits.length; at++) {
      const byte = have.bits[at] ?? 0;
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) {
        const index = have.base + at * 8 + bit;
        if ((byte >> bit) & 1 && index < this.#next) this.#arrivePart(index);
      }
    }
  }

  #arrivePart(index: number): void {
    const state = this.#state[index];
    if (state === ARRIVED || state === UNSENT) return;
    if (state === IN_FLIGHT) this.inFlight -= 1;
    this.#state[index] = ARRIVED;
    this.#arrivedParts += 1;
    // Of a part that was sent several times, it is not known which send arrived.
    if (this.#attempts[index] === 1) this.#newest = Math.max(this.#newest, this.#order[index] ?? 0);
  }

  /** When the last of the parts that are lost by being overtaken was sent. */
  loseSuspects(now_ms: number, patience_ms: number): number | undefined {
    let lostSent_ms: number | undefined;
    this.suspectAt_ms = Number.POSITIVE_INFINITY;
    for (let index = this.#base; index < this.#next; index++) {
      if (this.#state[index] !== IN_FLIGHT || (this.#order[index] ?? 0) + REORDER_PACKETS > this.#newest) continue;
      const sent_ms = this.#sent_ms[index] ?? 0;
      if (sent_ms + patience_ms > now_ms) {
        this.suspectAt_ms = Math.min(this.suspectAt_ms, sent_ms + patience_ms);
      } else {
        this.#lose(index);
        lostSent_ms = Math.max(lostSent_ms ?? sent_ms, sent_ms);
      }
    }
    return lostSent_ms;
  }

  #lose(index: number): void {
    this.#state[index] = LOST;
    this.#lost.push(index);
    this.inFlight -= 1;
  }
}
