// Contestants take turns, so that what else the machine does meets all of them, and each one's best counts: what others do can only add to a cost.

export class Turns<M> {
  readonly all: M[] = [];

  constructor(
    readonly name: string,
    private readonly measure: () => Promise<M>,
    /** What is to be small. */
    readonly cost: (measurement: M) => number,
  ) {}

  async take(): Promise<void> {
    this.all.push(await this.measure());
  }

  get best(): M {
    const [best] = [...this.all].sort((a, b) => this.cost(a) - this.cost(b));
    if (best === undefined) throw new Error("nothing was measured");
    return best;
  }

  get best_ns(): number {
    return this.cost(this.best);
  }
}

export async function takeTurns(
  turns: number,
  contestants: readonly { take(): Promise<void> }[],
  progress: (turn: string) => void,
): Promise<void> {
  for (let turn = 1; turn <= turns; turn++) {
    progress(`turn ${turn} of ${turns}`);
    for (const one of contestants) await one.take();
  }
}
