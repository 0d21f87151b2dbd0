// Makes new inputs from old ones. Chance comes from the one seeded generator. Used by fuzzer.ts.
import type { Random } from "../simulator/random.js";

const WIDTHS = [1, 2, 4, 8] as const;
const STACKED_MAX_LOG2 = 4;

/** 0, 1, the greatest and the smallest signed value, all ones, and their neighbours, for a width in bits. */
function interesting(bits: number): bigint[] {
  const top = 1n << BigInt(bits);
  const half = top >> 1n;
  return [0n, 1n, 2n, half - 1n, half, half + 1n, top - 2n, top - 1n];
}

const INTERESTING = new Map(WIDTHS.map((width) => [width, interesting(8 * width)]));

export interface Material {
  /** Others to splice with. */
  readonly corpus: readonly Uint8Array[];
  /** Byte strings that mean something to the target. */
  readonly dictionary: readonly Uint8Array[];
  readonly bytesMax: number;
}

type Mutation = (bytes: Uint8Array, random: Random, material: Material) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  setByte,
  addToByte,
  putInteresting,
  putInteresting,
  putInteresting,
  changeLength,
  changeLength,
  truncate,
  removeRange,
  extend,
  insertRandom,
  duplicateRange,
  moveRange,
  fillRange,
  splice,
  splice,
  putWord,
];

/** One to sixteen mutations one after the other; never longer than `bytesMax`, never the same array. */
export function mutate(parent: Uint8Array, random: Random, material: Material): Uint8Array {
  let bytes = Uint8Array.from(parent);
  const times = 1 << random.integer(0, STACKED_MAX_LOG2);
  for (let i = 0; i < times; i++) {
    bytes = Uint8Array.from(random.pick(MUTATIONS)(bytes, random, material));
    if (bytes.length > material.bytesMax) bytes = bytes.slice(0, material.bytesMax);
  }
  return bytes;
}

function place(bytes: Uint8Array, random: Random): number {
  return random.integer(0, Math.max(0, bytes.length - 1));
}

/** A range that lies within the bytes; short ones are likelier. */
function range(bytes: Uint8Array, random: Random): { at: number; length: number } {
  const at = place(bytes, random);
  const room = bytes.length - at;
  const most = random.chance(0.75) ? Math.min(16, room) : room;
  return { at, length: random.integer(Math.min(1, most), most) };
}

function flipBit(bytes: Uint8Array, random: Random): Uint8Array {
  const at = place(bytes, random);
  if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(0, 7));
  return bytes;
}

function setByte(bytes: Uint8Array, random: Random): Uint8Array {
  const at = place(bytes, random);
  if (at < bytes.length) bytes[at] = random.integer(0, 255);
  return bytes;
}

function addToByte(bytes: Uint8Array, random: Random): Uint8Array {
  const at = place(bytes, random);
  if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) + random.integer(-16, 16);
  return bytes;
}

/** At any place, aligned or not; big endian mostly, for that is what the wire has. */
function putInteresting(bytes: Uint8Array, random: Random): Uint8Array {
  const width = random.pick(WIDTHS);
  putInteger(bytes, place(bytes, random), width, random.pick(INTERESTING.get(width) ?? [0n]), random.chance(0.8));
  return bytes;
}

function putInteger(bytes: Uint8Array, at: number, width: number, value: bigint, bigEndian: boolean): void {
  for (let i = 0; i < width && at + i < bytes.length; i++) {
    const shift = BigInt(8 * (bigEndian ? width - 1 - i : i));
    bytes[at + i] = Number((value >> shift) & 0xffn);
  }
}

/** What may be a length or a count: near what it was, what is left behind it, or all there is. */
function changeLength(bytes: Uint8Array, random: Random): Uint8Array {
  const width = random.pick([1, 2, 2, 4] as const);
  const at = place(bytes, random);
  if (at + width > bytes.length) return bytes;
  let old = 0n;
  for (let i = 0; i < width; i++) old = (old << 8n) | BigInt(bytes[at + i] ?? 0);
  const left = BigInt(bytes.length - at - width);
  const value = random.pick([
    old + 1n,
    old - 1n,
    left,
    left + 1n,
    left - 1n,
    left / 2n,
    BigInt(bytes.length),
    old * 2n,
  ]);
  putInteger(bytes, at, width, BigInt.asUintN(8 * width, value), true);
  return bytes;
}

function truncate(bytes: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, place(bytes, random));
}

function removeRange(bytes: Uint8Array, random: Random): Uint8Array {
  const { at, length } = range(bytes, random);
  return Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + length));
}

function extend(bytes: Uint8Array, random: Random): Uint8Array {
  const tail = Array.from({ length: random.integer(1, 32) }, () => (random.chance(0.5) ? 0 : random.integer(0, 255)));
  return Uint8Array.of(...bytes, ...tail);
}

function insertRandom(bytes: Uint8Array, random: Random): Uint8Array {
  const middle = Array.from({ length: random.integer(1, 8) }, () => random.integer(0, 255));
  return insert(bytes, place(bytes, random), Uint8Array.from(middle));
}

function duplicateRange(bytes: Uint8Array, random: Random): Uint8Array {
  const { at, length } = range(bytes, random);
  const copy = bytes.slice(at, at + length);
  // Behind the original makes a list one longer, elsewhere is chaos.
  return insert(bytes, random.chance(0.5) ? at + length : place(bytes, random), copy);
}

function moveRange(bytes: Uint8Array, random: Random): Uint8Array {
  const { at, length } = range(bytes, random);
  bytes.copyWithin(place(bytes, random), at, at + length);
  return bytes;
}

function fillRange(bytes: Uint8Array, random: Random): Uint8Array {
  const { at, length } = range(bytes, random);
  return bytes.fill(random.pick([0, 0, 1, 0x7f, 0x80, 0xff]), at, at + length);
}

/** The head of one input and the tail of another, or a piece of another put in. */
function splice(bytes: Uint8Array, random: Random, { corpus }: Material): Uint8Array {
  if (corpus.length === 0) return bytes;
  const other = random.pick(corpus);
  const { at, length } = range(other, random);
  if (random.chance(0.5)) return insert(bytes, place(bytes, random), other.subarray(at, at + length));
  return Uint8Array.of(...bytes.subarray(0, place(bytes, random)), ...other.subarray(at));
}

function putWord(bytes: Uint8Array, random: Random, { dictionary }: Material): Uint8Array {
  if (dictionary.length === 0) return flipBit(bytes, random);
  const word = random.pick(dictionary);
  const at = place(bytes, random);
  if (random.chance(0.5)) return insert(bytes, at, word);
  bytes.set(word.subarray(0, Math.max(0, bytes.length - at)), Math.min(at, bytes.length));
  return bytes;
}

function insert(bytes: Uint8Array, at: number, piece: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length + piece.length);
  result.set(bytes.subarray(0, at));
  result.set(piece, at);
  result.set(bytes.subarray(at), at + piece.length);
  return result;
}
