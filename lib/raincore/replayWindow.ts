// Which of a sender's last datagrams were seen. Used by secureChannel.ts, for every datagram: a counter is two words, never a bigint.

const WORDS = 64;
const WORD_BITS = 32;
/** Counters further behind the highest one count as seen. One word less than there is: the newest word is filled bit by bit. */
export const REPLAY_WINDOW = (WORDS - 1) * WORD_BITS;

const TWO_32 = 0x1_0000_0000;

export class ReplayWindow {
  readonly #seen = new Uint32Array(WORDS);
  #highest = 0;

  /** Everything up to that counter counts as seen. */
  startAfter(high: number, low: number): void {
    this.#highest = high * TWO_32 + low;
    this.#seen.fill(0xffff_ffff);
    // Bits above the counter, in its own word, are yet to come.
    this.#seen[wordOf(low)] = low % WORD_BITS === WORD_BITS - 1 ? 0xffff_ffff : bitOf(low) * 2 - 1;
  }

  has(high: number, low: number): boolean {
    const counter = high * TWO_32 + low;
    if (counter > this.#highest) return false;
    if (counter === 0 || this.#highest - counter >= REPLAY_WINDOW) return true;
    return ((this.#seen[wordOf(low)] ?? 0) & bitOf(low)) !== 0;
  }

  add(high: number, low: number): void {
    const counter = high * TWO_32 + low;
    if (counter > this.#highest) {
      this.#forgetUpTo(counter);
      this.#highest = counter;
    }
    const word = wordOf(low);
    this.#seen[word] = (this.#seen[word] ?? 0) | bitOf(low);
  }

  /** Words between the old and the new highest counter start anew. */
  #forgetUpTo(counter: number): void {
    const first = Math.floor(this.#highest / WORD_BITS) + 1;
    const last = Math.floor(counter / WORD_BITS);
    if (last - first >= WORDS) this.#seen.fill(0);
    else for (let word = first; word <= last; word++) this.#seen[word % WORDS] = 0;
  }
}

function wordOf(low: number): number {
  return (low >>> 5) % WORDS;
}

function bitOf(low: number): number {
  return (1 << (low & 31)) >>> 0;
}
