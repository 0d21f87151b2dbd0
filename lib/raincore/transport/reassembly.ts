// One message as it comes in. Memory is taken page by page, when a page's first part arrives, not by what the first packet
// claims; except that a message which is no longer than a token may be (WHOLE_BYTES_MAX) has all of it at once, in one page.
// The receiver, which owns it, counts what is claimed against its limits before.
import { PAGE_BYTES, SPAN_PARTS, WHOLE_BYTES_MAX } from "./limits.js";
import { type PartMessage, partCount } from "./packets.js";

/** The last part that came over a path since the receiver last said what it has. */
export interface Echo {
  readonly path: number;
  index: number;
  attempt: number;
}

export class Reassembly {
  readonly id: number;
  readonly total: number;
  readonly partBytes: number;
  /** What the receiver calls it. */
  readonly collection: number;
  readonly parts: number;
  /** Paths that wait for an answer. */
  echoes: Echo[] = [];
  /** New parts since the last answer. */
  unanswered = 0;
  answerAt_ms = Number.POSITIVE_INFINITY;
  touched_ms: number;
  readonly #here: Uint8Array;
  readonly #pageParts: number;
  readonly #pages: (Uint8Array | undefined)[] = [];
  #arrived = 0;
  #base = 0;

  constructor(part: PartMessage, collection: number, now_ms: number) {
    this.id = part.id;
    this.total = part.total;
    this.partBytes = part.partBytes;
    this.collection = collection;
    this.touched_ms = now_ms;
    this.parts = partCount(part.total, part.partBytes);
    this.#here = new Uint8Array(Math.ceil(this.parts / 8));
    this.#pageParts = this.total <= WHOLE_BYTES_MAX ? this.parts : Math.max(1, Math.floor(PAGE_BYTES / part.partBytes));
  }

  get isComplete(): boolean {
    return this.#arrived === this.parts;
  }

  /** Of the same message, as far as can be seen. */
  matches(part: PartMessage): boolean {
    return part.total === this.total && part.partBytes === this.partBytes;
  }

  has(index: number): boolean {
    return (((this.#here[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
  }

  /** A part that is not here yet. */
  add(part: PartMessage): void {
    const pageNumber = Math.floor(part.index / this.#pageParts);
    const page = this.#pages[pageNumber] ?? this.#newPage(pageNumber);
    page.set(part.body, (part.index - pageNumber * this.#pageParts) * this.partBytes);
    this.#here[part.index >> 3] = (this.#here[part.index >> 3] ?? 0) | (1 << (part.index & 7));
    this.#arrived += 1;
    while (this.#base < this.parts && this.has(this.#base)) this.#base += 1;
  }

  /** Which path waits for an answer, and for which of its parts. */
  note(path: number, part: PartMessage): void {
    const echo = this.echoes.find((one) => one.path === path);
    if (echo === undefined) {
      this.echoes.push({ path, index: part.index, attempt: part.attempt });
    } else {
      echo.index = part.index;
      echo.attempt = part.attempt;
    }
  }

  get base(): number {
    return this.#base;
  }

  /** The parts from base on, lowest bit first, as far as one answer tells. */
  bits(): Uint8Array {
    const end = Math.min(this.parts, this.#base + SPAN_PARTS);
    const bits = new Uint8Array(Math.ceil((end - this.#base) / 8));
    let used = 0;
    for (let at = 0; at < end - this.#base; at++) {
      if (!this.has(this.#base + at)) continue;
      bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7));
      used = (at >> 3) + 1;
    }
    return bits.subarray(0, used);
  }

  /** The whole message; the reassembly is over. */
  take(): Uint8Array {
    const only = this.#pages.length === 1 ? this.#pages[0] : undefined;
    if (only !== undefined) return only;
    const whole = new Uint8Array(this.total);
    let at = 0;
    for (const page of this.#pages) {
      if (page === undefined) throw new Error("a message is taken before it is complete");
      whole.set(page, at);
      at += page.length;
    }
    return whole;
  }

  #newPage(pageNumber: number): Uint8Array {
    const pageBytes = this.#pageParts * this.partBytes;
    const page = new Uint8Array(Math.min(pageBytes, this.total - pageNumber * pageBytes));
    this.#pages[pageNumber] = page;
    return page;
  }
}
