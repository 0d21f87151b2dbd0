// A running hash of everything that happened, to prove that a seed replays exactly. FNV-1a in two lanes over numbers: no
// text is made for it.

const DOUBLE = new Float64Array(1);
const WORDS = new Uint32Array(DOUBLE.buffer);

export class TraceHash {
  #a = 0x811c9dc5;
  #b = 0x050c5d1f;

  add(value: number): void {
    DOUBLE[0] = value;
    this.#word(WORDS[0] ?? 0);
    this.#word(WORDS[1] ?? 0);
  }

  /** Every eighth byte and the last ones: enough to notice any difference in time, little enough to cost nothing. */
  addBytes(bytes: Uint8Array): void {
    this.#word(bytes.length);
    for (let i = 0; i < bytes.length; i += 8) this.#word(bytes[i] ?? 0);
    for (let i = Math.max(0, bytes.length - 4); i < bytes.length; i++) this.#word(bytes[i] ?? 0);
  }

  digest(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }

  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b ^ (word + 0x9e3779b9), 0x85ebca6b);
    this.#b ^= this.#b >>> 13;
  }
}
