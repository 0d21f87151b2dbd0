// The fuzzer of one target: keeps the inputs that reached something new, and makes the next ones from them. Knows neither
// time nor files; the worker drives it. The same seed and starting inputs give the same run.
import { Random } from "../simulator/random.js";
import { Coverage, Reached } from "./coverage.js";
import { mutate } from "./mutate.js";
import { type Finding, judge } from "./oracle.js";
import type { Target } from "./target.js";

/** Inputs between two samples of the coverage. */
const BATCH = 256;
const MINIMISE_TRIES = 200;

export interface Failure extends Finding {
  readonly input: Uint8Array;
}

export interface FuzzerOptions {
  readonly target: Target;
  readonly seed: number;
  /** From earlier runs. */
  readonly corpus: readonly Uint8Array[];
  /** Told of every input before it runs, for the watch from outside. */
  readonly onInput?: (input: Uint8Array) => void;
  /** Asked between inputs: then nothing is begun any more, and what was found is kept as it is. */
  readonly isOver?: () => boolean;
}

export class Fuzzer {
  readonly #target: Target;
  readonly #random: Random;
  readonly #onInput: (input: Uint8Array) => void;
  readonly #isOver: () => boolean;
  readonly #coverage: Coverage;
  readonly #reached = new Reached();
  readonly #labels = new Set<string>();
  /** What new inputs are made from: the seeds and everything kept. */
  readonly #parents: Uint8Array[] = [];
  readonly #kept: Uint8Array[] = [];
  readonly #start: readonly Uint8Array[];
  #runs = 0;
  #failure: Failure | undefined;

  constructor(options: FuzzerOptions) {
    this.#target = options.target;
    this.#random = new Random(options.seed);
    this.#onInput = options.onInput ?? (() => {});
    this.#isOver = options.isOver ?? (() => false);
    const { covers } = options.target;
    this.#coverage = new Coverage((url) => covers.test(url));
    this.#start = options.corpus;
  }

  get runs(): number {
    return this.#runs;
  }

  /** Source offsets reached so far. */
  get reached(): number {
    return this.#reached.size;
  }

  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** Inputs beyond the seeds, each of which reached something that those before it did not, smallest first. */
  get kept(): readonly Uint8Array[] {
    return this.#kept;
  }

  /** Kinds of answers seen. */
  get labels(): ReadonlySet<string> {
    return this.#labels;
  }

  /** To be called once, first. All that is known already, before anything is made up. Corpus inputs that reach nothing new are not kept. */
  runCorpus(): void {
    this.#coverage.take();
    for (const input of this.#target.seeds()) {
      if (this.#failure !== undefined) return;
      this.#parents.push(input);
      this.#run(input);
      this.#reached.add(this.#coverage.take());
    }
    for (const input of [...this.#start].sort(bySize)) {
      if (this.#failure !== undefined) return;
      if (this.#reachesMore(input)) this.#keep(input);
    }
  }

  /** One batch of new inputs. Stops at a failure. */
  step(): void {
    const batch: Uint8Array[] = [];
    while (batch.length < BATCH && this.#failure === undefined) {
      const input = mutate(this.#pickParent(), this.#random, {
        corpus: this.#parents,
        dictionary: this.#target.dictionary ?? [],
        bytesMax: this.#target.bytesMax,
      });
      batch.push(input);
      const isNewKind = this.#run(input);
      if (isNewKind && this.#failure === undefined) this.#keep(input);
    }
    const sample = this.#coverage.take();
    if (this.#failure !== undefined || !this.#reached.lacks(sample)) return;
    this.#attribute(batch);
    // What no single input shows again, such as a cache that was filled once, is nothing to look for any more.
    this.#reached.add(sample);
  }

  /** The younger half is picked more often: it is where something was found lately. */
  #pickParent(): Uint8Array {
    const half = this.#parents.length >> 1;
    const from = this.#random.chance(0.5) ? half : 0;
    return this.#parents[this.#random.integer(from, this.#parents.length - 1)] ?? new Uint8Array(0);
  }

  /** Whether the answer was of a kind not seen before. */
  #run(input: Uint8Array): boolean {
    this.#runs += 1;
    this.#onInput(input);
    const verdict = judge(this.#target, input);
    if (!verdict.ok) {
      this.#failure ??= { kind: verdict.kind, detail: verdict.detail, input };
      return false;
    }
    const isNew = !this.#labels.has(verdict.label);
    this.#labels.add(verdict.label);
    return isNew;
  }

  #reachesMore(input: Uint8Array): boolean {
    const isNewKind = this.#run(input);
    const isNewPlace = this.#reached.add(this.#coverage.take()) !== undefined;
    return (isNewKind || isNewPlace) && this.#failure === undefined;
  }

  /** Finds by halves which inputs of a batch reached what is new, and keeps them in their smallest form. */
  #attribute(batch: readonly Uint8Array[]): void {
    if (batch.length === 0 || this.#failure !== undefined || this.#isOver()) return;
    for (const input of batch) this.#run(input);
    const sample = this.#coverage.take();
    const [only] = batch;
    if (batch.length > 1 || only === undefined) {
      if (!this.#reached.lacks(sample)) return;
      const middle = batch.length >> 1;
      this.#attribute(batch.slice(0, middle));
      this.#attribute(batch.slice(middle));
      return;
    }
    const news = this.#reached.add(sample);
    if (news !== undefined) this.#keep(this.#minimise(only, news));
  }

  /** Takes pieces out as long as what is new is still reached. */
  #minimise(input: Uint8Array, news: Reached): Uint8Array {
    let best = input;
    let tries = 0;
    for (let piece = best.length >> 1; piece >= 1; piece >>= 1) {
      for (let at = 0; at < best.length && tries < MINIMISE_TRIES && !this.#isOver(); tries++) {
        const smaller = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + piece)]);
        this.#run(smaller);
        if (this.#failure !== undefined) return best;
        if (news.isReachedBy(this.#coverage.take())) best = smaller;
        else at += piece;
      }
    }
    return best;
  }

  #keep(input: Uint8Array): void {
    this.#kept.push(input);
    this.#parents.push(input);
  }
}

function bySize(a: Uint8Array, b: Uint8Array): number {
  return a.length - b.length || Buffer.compare(a, b);
}
