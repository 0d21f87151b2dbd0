// Virtual time: a heap of what happens when. Events of the same time happen in the order in which they were planned.

interface Entry {
  readonly at_ms: number;
  readonly order: number;
  readonly act: () => void;
}

export class Schedule {
  readonly #heap: Entry[] = [];
  #order = 0;
  now_ms = 0;

  at(at_ms: number, act: () => void): void {
    this.#heap.push({ at_ms: Math.max(at_ms, this.now_ms), order: this.#order++, act });
    this.#siftUp(this.#heap.length - 1);
  }

  after(delay_ms: number, act: () => void): void {
    this.at(this.now_ms + delay_ms, act);
  }

  get next_ms(): number {
    return this.#heap[0]?.at_ms ?? Number.POSITIVE_INFINITY;
  }

  /** Takes the next event; the caller runs it. */
  take(): (() => void) | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (first !== last) {
      this.#heap[0] = last;
      this.#siftDown(0);
    }
    this.now_ms = first.at_ms;
    return first.act;
  }

  /** Moves the entry at `start` towards the root, as far as it is earlier. */
  #siftUp(start: number): void {
    const heap = this.#heap;
    const entry = this.#entry(start);
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#entry(parent);
      if (!isEarlier(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  /** And away from it. In large clusters hundreds of thousands of datagrams are under way: entries are moved once, not swapped. */
  #siftDown(start: number): void {
    const heap = this.#heap;
    const entry = this.#entry(start);
    let at = start;
    for (;;) {
      const left = at * 2 + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && isEarlier(this.#entry(right), this.#entry(left)) ? right : left;
      const below = this.#entry(child);
      if (!isEarlier(below, entry)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = entry;
  }

  #entry(index: number): Entry {
    const entry = this.#heap[index];
    if (entry === undefined) throw new Error("outside the heap");
    return entry;
  }
}

function isEarlier(a: Entry, b: Entry): boolean {
  return a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order);
}
