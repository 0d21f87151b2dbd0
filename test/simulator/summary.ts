// Adds up what many runs came to. Called by main.ts, printed for people or as JSON.
import type { FaultKind } from "./plan.js";
import type { Outcome, Verdict } from "./run.js";
import { TraceHash } from "./trace.js";

/** What a worker sends back for a run. */
export type Result = Omit<Outcome, "violations">;

export interface Failure {
  readonly seed: number;
  readonly verdict: Verdict;
  readonly what: string;
}

const FAILURES_KEPT = 50;
const MS_PER_HOUR = 3_600_000;

export class Summary {
  readonly failures: Failure[] = [];
  readonly #verdicts: Record<Verdict, number> = { ok: 0, crash: 0, liveness: 0, correctness: 0 };
  readonly #faults = new Map<FaultKind, number>();
  readonly #work = new Map<string, number>();
  readonly #settled_ms: number[] = [];
  readonly #settledTargets: number[] = [];
  readonly #hashes: { readonly seed: number; readonly hash: string }[] = [];
  #node_ms = 0;
  #events = 0;
  #datagrams = 0;

  add(result: Result): void {
    this.#verdicts[result.verdict] += 1;
    this.#node_ms += result.node_ms;
    this.#events += result.events;
    this.#datagrams += result.datagrams;
    this.#hashes.push({ seed: result.seed, hash: result.hash });
    for (const [kind, count] of Object.entries(result.faults)) addTo(this.#faults, kind as FaultKind, count);
    for (const [name, count] of Object.entries(result.work)) addTo(this.#work, name, count);
    if (result.settled_ms !== undefined) {
      this.#settled_ms.push(result.settled_ms);
      this.#settledTargets.push(result.settled_ms / result.target_ms);
    }
    const { seed, verdict, what } = result;
    if (verdict !== "ok" && this.failures.length < FAILURES_KEPT) this.failures.push({ seed, verdict, what });
  }

  get runs(): number {
    return this.#hashes.length;
  }

  /** The gravest. */
  get verdict(): Verdict {
    for (const verdict of ["crash", "correctness", "liveness"] as const)
      if (this.#verdicts[verdict] > 0) return verdict;
    return "ok";
  }

  toJson(took_ms: number): Record<string, unknown> {
    return {
      ok: this.verdict === "ok",
      verdict: this.verdict,
      seeds: this.runs,
      seeds_per_s: round((1000 * this.runs) / took_ms),
      node_hours: round(this.#node_ms / MS_PER_HOUR),
      events: this.#events,
      datagrams: this.#datagrams,
      violations: this.#verdicts.correctness,
      crashes: this.#verdicts.crash,
      notConverged: this.#verdicts.liveness,
      settle_ms: spread(this.#settled_ms),
      settlePerTarget: spread(this.#settledTargets),
      faults: sorted(this.#faults),
      work: sorted(this.#work),
      hash: this.#hash(),
      failures: this.failures,
    };
  }

  toText(took_ms: number): string {
    const settle = spread(this.#settled_ms);
    const perTarget = spread(this.#settledTargets);
    const lines = [
      `${this.runs} seeds in ${(took_ms / 1000).toFixed(1)} s: ${((1000 * this.runs) / took_ms).toFixed(1)} seeds/s, ` +
        `${(this.#node_ms / MS_PER_HOUR).toFixed(2)} simulated node-hours, ${this.#events} events, ${this.#datagrams} datagrams`,
      `faults: ${list(this.#faults)}`,
      `work: ${list(this.#work)}`,
      `settle time after the faults: p50 ${settle.p50}, p99 ${settle.p99}, max ${settle.max} ms ` +
        `(in fail-over targets: ${perTarget.p50}, ${perTarget.p99}, ${perTarget.max})`,
      ...this.failures.map((failure) => `seed ${failure.seed}: ${failure.verdict}: ${failure.what}`),
      `${this.#verdicts.correctness} violations, ${this.#verdicts.liveness} did not converge, ${this.#verdicts.crash} crashes; hash ${this.#hash()}`,
    ];
    return lines.join("\n");
  }

  /** Of all runs in the order of their seeds, whichever worker ran them. */
  #hash(): string {
    const trace = new TraceHash();
    for (const { seed, hash } of [...this.#hashes].sort((a, b) => a.seed - b.seed || (a.hash < b.hash ? -1 : 1))) {
      trace.add(seed);
      for (let at = 0; at < hash.length; at += 8) trace.add(Number.parseInt(hash.slice(at, at + 8), 16));
    }
    return trace.digest();
  }
}

function addTo<K>(sums: Map<K, number>, key: K, count: number): void {
  sums.set(key, (sums.get(key) ?? 0) + count);
}

function sorted(sums: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function list(sums: ReadonlyMap<string, number>): string {
  const entries = Object.entries(sorted(sums)).map(([name, count]) => `${name} ${count}`);
  return entries.length === 0 ? "none" : entries.join(", ");
}

function spread(values: readonly number[]): { p50: number; p99: number; max: number } {
  const ordered = [...values].sort((a, b) => a - b);
  const at = (part: number) => round(ordered[Math.min(ordered.length - 1, Math.floor(part * ordered.length))] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
