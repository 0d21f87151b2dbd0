// What main.ts and its worker say to each other, and the file in which the worker leaves the input it is working on, so
// that main.ts still has it when the worker hangs or dies.
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Finding } from "./oracle.js";

export interface Job {
  /** A module that exports TARGETS. */
  readonly targets: string;
  readonly target: string;
  readonly seed: number;
  readonly corpusFolder: string;
  /** Whether the corpus on disk is to become what this run has found to be worth keeping. */
  readonly save: boolean;
  readonly end: { readonly runs: number } | { readonly time_ms: number };
  /** Run this one input and nothing else. */
  readonly replay?: Uint8Array;
  /** Path of the bench. */
  readonly bench: string;
}

export interface Progress {
  readonly runs: number;
  /** Source offsets. */
  readonly reached: number;
  readonly corpus: number;
  readonly took_ms: number;
}

export interface Done extends Progress {
  readonly added: number;
  readonly removed: number;
  /** The kinds of answers seen. */
  readonly labels: readonly string[];
}

export type FromWorker =
  | { readonly type: "progress"; readonly figures: Progress }
  | { readonly type: "finding"; readonly finding: Finding; readonly input: Uint8Array }
  | { readonly type: "done"; readonly figures: Done };

const HEAD_BYTES = 8;

/** The worker's end. One write per input. */
export class Bench {
  readonly #file: number;
  #buffer = Buffer.alloc(4096);
  #count = 0;

  constructor(path: string) {
    this.#file = openSync(path, "w");
  }

  put(input: Uint8Array): void {
    this.#count = (this.#count + 1) >>> 0 || 1;
    const length = HEAD_BYTES + input.length;
    if (length > this.#buffer.length) this.#buffer = Buffer.alloc(2 * length);
    this.#buffer.writeUInt32LE(this.#count, 0);
    this.#buffer.writeUInt32LE(input.length, 4);
    this.#buffer.set(input, HEAD_BYTES);
    writeSync(this.#file, this.#buffer, 0, length, 0);
  }

  /** No input is under work. */
  clear(): void {
    writeSync(this.#file, Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}

export interface UnderWork {
  /** Another one for every input. */
  readonly count: number;
  readonly input: Uint8Array;
}

/** What the worker is at, if anything. */
export function readBench(path: string): UnderWork | undefined {
  const bytes = readFileSync(path);
  if (bytes.length < HEAD_BYTES || bytes.readUInt32LE(0) === 0) return undefined;
  const length = bytes.readUInt32LE(4);
  return { count: bytes.readUInt32LE(0), input: Uint8Array.from(bytes.subarray(HEAD_BYTES, HEAD_BYTES + length)) };
}
