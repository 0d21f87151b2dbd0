// One input against one decoder: does it throw, does it take too long or too much memory, is its answer right?
import { getHeapStatistics } from "node:v8";
import { AllocationRefused, countAllocations } from "./allocation.js";
import { LIMITS, type Target, Violation } from "./target.js";

/** `hangs` and `dies` are found from outside, by main.ts: the process that decodes cannot say so itself. */
export type FindingKind = "throws" | "wrong" | "allocates" | "slow" | "hangs" | "dies";

export interface Finding {
  readonly kind: FindingKind;
  readonly detail: string;
}

export type Verdict = { readonly ok: true; readonly label: string } | ({ readonly ok: false } & Finding);

/** Figures over their limit are measured again: what a collection or another process added is not there every time. */
const MEASUREMENTS = 5;

export function judge(target: Target, input: Uint8Array): Verdict {
  const limits = { ...LIMITS, ...target.limits };
  const countedBytes_max = limits.countedBytes + limits.countedPerByte * input.length;
  const heapBytes_max = limits.heapBytes + limits.heapPerByte * input.length;
  const first = measure(target, input);
  if (first.error !== undefined) return failed(...explain(first.error));
  if (first.countedBytes > countedBytes_max) {
    return failed("allocates", `asked for ${first.countedBytes} bytes for an input of ${input.length}`);
  }
  let { heapBytes, time_ms } = first;
  for (let i = 1; i < MEASUREMENTS && (heapBytes > heapBytes_max || time_ms > limits.time_ms); i++) {
    const again = measure(target, input);
    heapBytes = Math.min(heapBytes, again.heapBytes);
    time_ms = Math.min(time_ms, again.time_ms);
  }
  if (heapBytes > heapBytes_max) return failed("allocates", `took ${heapBytes} bytes for an input of ${input.length}`);
  if (time_ms > limits.time_ms)
    return failed("slow", `took ${time_ms.toFixed(0)} ms for an input of ${input.length} bytes`);
  return checked(target, input, first.answer);
}

interface Measurement {
  readonly answer: unknown;
  readonly error: unknown;
  readonly countedBytes: number;
  readonly heapBytes: number;
  readonly time_ms: number;
}

/** The decoder gets a copy, so that what it does to its input cannot be seen in the input. */
function measure(target: Target, input: Uint8Array): Measurement {
  const copy = Uint8Array.from(input);
  target.reset?.();
  let answer: unknown;
  let error: unknown;
  const heapBefore_bytes = heapBytes();
  const started_ms = performance.now();
  const countedBytes = countAllocations(() => {
    try {
      answer = target.decode(copy);
    } catch (thrown) {
      error = thrown ?? new Error("undefined was thrown");
    }
  });
  const time_ms = performance.now() - started_ms;
  const heap_bytes = heapBytes() - heapBefore_bytes;
  if (error === undefined && !copy.every((byte, at) => byte === input[at])) error = new Violation("changed its input");
  return { answer, error, countedBytes, heapBytes: heap_bytes, time_ms };
}

function heapBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

function checked(target: Target, input: Uint8Array, answer: unknown): Verdict {
  try {
    return { ok: true, label: target.check(answer, input) };
  } catch (error) {
    return failed(...explain(error));
  }
}

function explain(error: unknown): [FindingKind, string] {
  if (error instanceof AllocationRefused) return ["allocates", error.message];
  if (error instanceof Violation) return ["wrong", error.message];
  return ["throws", error instanceof Error ? (error.stack ?? error.message) : String(error)];
}

function failed(kind: FindingKind, detail: string): Verdict {
  return { ok: false, kind, detail };
}
