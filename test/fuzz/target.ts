// What the fuzzer needs to know of a decoder. The decoders under test are listed in targets/index.ts.
import { isDeepStrictEqual } from "node:util";

export interface Target {
  readonly name: string;
  /** Sources whose blocks count as progress, as a part of their path. */
  readonly covers: RegExp;
  readonly bytesMax: number;
  /** Valid inputs of every kind. */
  seeds(): readonly Uint8Array[];
  /** Byte strings worth trying. */
  readonly dictionary?: readonly Uint8Array[];
  /** What is under test, and nothing else: this is timed and its memory counted. Must not throw. */
  decode(input: Uint8Array): unknown;
  /** Whether the answer is right: throws Violation if not, else says in a word what kind of answer it was. */
  check(answer: unknown, input: Uint8Array): string;
  /** Before an input; what `decode` sees must depend on its input alone. */
  reset?(): void;
  readonly limits?: Partial<Limits>;
}

export interface Limits {
  /** Of what `decode` may ask for by size: so many bytes for each of the input's, and so many besides. */
  readonly countedPerByte: number;
  readonly countedBytes: number;
  /** Of all that the heap and the buffers grow by. */
  readonly heapPerByte: number;
  readonly heapBytes: number;
  readonly time_ms: number;
}

export const LIMITS: Limits = {
  countedPerByte: 16,
  countedBytes: 16 * 1024,
  heapPerByte: 512,
  heapBytes: 512 * 1024,
  time_ms: 200,
};

/** The answer is wrong. */
export class Violation extends Error {
  constructor(what: string) {
    super(what);
    this.name = "Violation";
  }
}

export interface Codec<T> {
  readonly name: string;
  readonly covers: RegExp;
  readonly bytesMax: number;
  readonly values: readonly T[];
  readonly dictionary?: readonly Uint8Array[];
  encode(value: T): Uint8Array;
  /** Undefined: refused. */
  decode(bytes: Uint8Array): T | undefined;
  /** More that holds for every accepted value; the answer is its kind. */
  kindOf(value: T): string;
  readonly limits?: Partial<Limits>;
}

/** A decoder with its encoder: what was accepted must survive being encoded and decoded again. */
export function codecTarget<T>(codec: Codec<T>): Target {
  const { name, covers, bytesMax, dictionary, limits } = codec;
  return {
    name,
    covers,
    bytesMax,
    ...(dictionary === undefined ? {} : { dictionary }),
    ...(limits === undefined ? {} : { limits }),
    seeds: () => codec.values.map((value) => codec.encode(value)),
    decode: (input) => codec.decode(input),
    check(answer) {
      if (answer === undefined) return "refused";
      const value = answer as T;
      requireSame(codec.decode(codec.encode(value)), value);
      return codec.kindOf(value);
    },
  };
}

export function requireSame(again: unknown, value: unknown): void {
  if (!isDeepStrictEqual(again, value)) throw new Violation("is another value after encoding and decoding it again");
}

/** 0, 1, 2, 3.., 8.., so that the number of things in a list is a kind of its own. */
export function sizeClass(count: number): string {
  if (count < 3) return String(count);
  return count < 8 ? "few" : count < 64 ? "many" : "full";
}
