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

  #siftUp(start: number): void {
    let child = start;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#swapIfEarlier(child, parent)) return;
      child = parent;
    }
  }

  #siftDown(start: number): void {
    let parent = start;
    for (;;) {
      const left = parent * 2 + 1;
      if (left >= this.#heap.length) return;
      const right = left + 1;
      const child = right < this.#heap.length && isEarlier(this.#entry(right), this.#entry(left)) ? right : left;
      if (!this.#swapIfEarlier(child, parent)) return;
      parent = child;
    }
  }

  #swapIfEarlier(child: number, parent: number): boolean {
    const [a, b] = [this.#entry(child), this.#entry(parent)];
    if (!isEarlier(a, b)) return false;
    this.#heap[child] = b;
    this.#heap[parent] = a;
    return true;
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
