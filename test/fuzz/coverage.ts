// Which blocks of the code under test have run, from V8's own block coverage of this isolate. One sample costs about a
// millisecond, so the fuzzer takes one per batch of inputs. Used by fuzzer.ts.
import { Session } from "node:inspector";
import { setFlagsFromString } from "node:v8";

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

interface FunctionCoverage {
  readonly ranges: readonly Range[];
}

interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly FunctionCoverage[];
}

/** What one function did: its identity and its ranges, the outermost first. */
interface Trace {
  readonly name: string;
  readonly ranges: readonly Range[];
}

export type Sample = readonly Trace[];

let session: Session | undefined;

/**
 * Once for all, and never stopped: V8 counts the blocks of those functions only that it compiled while coverage was on.
 * So this comes before the code under test is loaded.
 */
export function startCoverage(): Session {
  if (session !== undefined) return session;
  // Optimised code does not count its calls, and a function without calls is left out of the next sample.
  setFlagsFromString("--no-opt");
  session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  return session;
}

export class Coverage {
  readonly #session = startCoverage();
  readonly #covers: (url: string) => boolean;

  /** Only scripts that `covers` accepts are looked at. */
  constructor(covers: (url: string) => boolean) {
    this.#covers = covers;
  }

  /** What has run since the last sample. */
  take(): Sample {
    const traces: Trace[] = [];
    for (const { url, functions } of this.#result()) {
      if (!this.#covers(url)) continue;
      for (const { ranges } of functions) {
        const whole = ranges[0];
        if (whole === undefined || whole.count === 0) continue;
        traces.push({ name: `${url}:${whole.startOffset}-${whole.endOffset}`, ranges });
      }
    }
    return traces;
  }

  #result(): readonly ScriptCoverage[] {
    let scripts: readonly ScriptCoverage[] | undefined;
    // The session is in this thread: the answer is there when post returns.
    this.#session.post("Profiler.takePreciseCoverage", (error, answer) => {
      if (error === null) scripts = answer.result;
    });
    if (scripts === undefined) throw new Error("no coverage from the inspector");
    return scripts;
  }
}

/**
 * A set of reached places. V8 merges neighbouring blocks of equal counts, so a block's bounds differ from sample to
 * sample; what is kept is therefore every source offset, by function.
 */
export class Reached {
  readonly #functions = new Map<string, Uint8Array>();
  /** Traces that were added, so that the usual sample costs no painting. */
  readonly #known = new Set<string>();
  #size = 0;

  /** Source offsets reached. */
  get size(): number {
    return this.#size;
  }

  /** Adds a sample; the answer is what it reached that was not reached before, if anything. */
  add(sample: Sample): Reached | undefined {
    let news: Reached | undefined;
    for (const trace of sample) {
      const shape = shapeOf(trace);
      if (this.#known.has(shape)) continue;
      this.#known.add(shape);
      const painted = paint(trace);
      const fresh = this.#merge(trace.name, painted);
      if (fresh === undefined) continue;
      news ??= new Reached();
      news.#merge(trace.name, fresh);
    }
    return news;
  }

  /** Whether `add` would find something new. */
  lacks(sample: Sample): boolean {
    return sample.some((trace) => {
      if (this.#known.has(shapeOf(trace))) return false;
      const own = this.#functions.get(trace.name);
      return own === undefined || paint(trace).some((hit, at) => hit === 1 && own[at] === 0);
    });
  }

  /** Whether a sample reached all of this. */
  isReachedBy(sample: Sample): boolean {
    const traces = new Map(sample.map((trace) => [trace.name, trace]));
    for (const [name, wanted] of this.#functions) {
      const trace = traces.get(name);
      if (trace === undefined) return false;
      const painted = paint(trace);
      if (wanted.some((hit, at) => hit === 1 && painted[at] === 0)) return false;
    }
    return true;
  }

  #merge(name: string, painted: Uint8Array): Uint8Array | undefined {
    const own = this.#functions.get(name) ?? new Uint8Array(painted.length);
    this.#functions.set(name, own);
    const fresh = painted.map((hit, at) => (hit === 1 && own[at] === 0 ? 1 : 0));
    const count = fresh.reduce((sum, hit) => sum + hit, 0);
    if (count === 0) return undefined;
    this.#size += count;
    for (let at = 0; at < own.length; at++) own[at] = (own[at] ?? 0) | (painted[at] ?? 0);
    return fresh;
  }
}

function shapeOf(trace: Trace): string {
  let shape = trace.name;
  for (const { startOffset, endOffset, count } of trace.ranges)
    shape += `,${startOffset}${count > 0 ? "+" : "-"}${endOffset}`;
  return shape;
}

/** 1 for every offset of the function that was reached; an inner range overrules the ones around it. */
function paint(trace: Trace): Uint8Array {
  const start = trace.ranges[0]?.startOffset ?? 0;
  const end = trace.ranges[0]?.endOffset ?? 0;
  const painted = new Uint8Array(end - start);
  for (const range of trace.ranges) {
    painted.fill(range.count > 0 ? 1 : 0, range.startOffset - start, range.endOffset - start);
  }
  return painted;
}
