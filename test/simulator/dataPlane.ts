// A model of a node's data plane: it answers for VIPs by what it was told last, on the node's clock, until the lease runs out, whether the process runs
// or not. Used by node.ts.
import type { Interval } from "./interruptions.js";
import type { LocalClock } from "./localClock.js";

export type Answers = ReadonlyMap<string, { readonly from_ms: number }>;

export class DataPlaneModel {
  /** True times at which the lease ran out while the process was neither stopped nor told that it lost its place. */
  readonly lapses_ms: number[] = [];
  readonly #clock: LocalClock;
  #answers: Answers = new Map();
  #leaseUntil_ms = 0;

  constructor(clock: LocalClock) {
    this.#clock = clock;
  }

  /** A new process has told it nothing yet. */
  reset(): void {
    this.#answers = new Map();
    this.#leaseUntil_ms = 0;
  }

  get answers(): Answers {
    return this.#answers;
  }

  setAnswers(answers: Answers): void {
    this.#answers = new Map(answers);
  }

  /** On the node's clock. */
  get leaseUntilOwn_ms(): number {
    return this.#leaseUntil_ms;
  }

  setLease(until_ms: number, trueNow_ms: number): void {
    const ranOut_ms = this.#clock.toTrue(this.#leaseUntil_ms);
    if (until_ms > 0 && this.#leaseUntil_ms > 0 && ranOut_ms < trueNow_ms) this.lapses_ms.push(ranOut_ms);
    this.#leaseUntil_ms = until_ms;
  }

  /** In true time: by these answers and that lease, or by its own. */
  answering(address: string, answers = this.#answers, until_ms = this.#leaseUntil_ms): Interval | undefined {
    const answer = answers.get(address);
    if (answer === undefined) return undefined;
    return { from_ms: this.#clock.toTrue(answer.from_ms), until_ms: this.#clock.toTrue(until_ms) };
  }

  describeAnswers(): string {
    const from = (from_ms: number) => this.#clock.toTrue(from_ms).toFixed(1);
    return [...this.#answers].map(([address, { from_ms }]) => `${address} from ${from(from_ms)}`).join(", ");
  }
}
