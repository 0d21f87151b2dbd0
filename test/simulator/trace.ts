// A running hash of everything that happened, to prove that a seed replays exactly. FNV-1a in two lanes.

export class TraceHash {
  #a = 0x811c9dc5;
  #b = 0x050c5d1f;

  add(line: string): void {
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      this.#a = Math.imul(this.#a ^ code, 0x01000193);
      this.#b = Math.imul(this.#b ^ (code + i), 0x01000193);
    }
  }

  digest(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
