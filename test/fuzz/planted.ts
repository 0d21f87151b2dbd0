// Decoders with bugs, for the fuzzer's own tests: each must be found, and as what it is.
import { Reader, WireError, Writer } from "../../lib/raincore/wire.js";
import { codecTarget, LIMITS, type Target } from "./target.js";

const COVERS = /\/test\/fuzz\/planted\./;

function refusing<T>(decode: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T | undefined {
  return (bytes) => {
    try {
      return decode(bytes);
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  };
}

function target(name: string, decode: (bytes: Uint8Array) => unknown): Target {
  const seeds = () => [Uint8Array.of(1, 2, 3, 4, 5, 6), new Uint8Array(12)];
  return { name, covers: COVERS, bytesMax: 64, seeds, decode: refusing(decode), check: () => "read" };
}

/** Blind chance meets the three bytes once in 16 million tries; step by step they are found. */
function throwsBehindMagic(bytes: Uint8Array): number {
  if (bytes[0] === 0xc3) {
    if (bytes[1] === 0x5a) {
      if (bytes[2] === 0x17) throw new TypeError("the planted bug");
    }
  }
  return bytes.length;
}

function list(bytes: Uint8Array): number[] {
  const r = new Reader(bytes);
  return Array.from({ length: r.u16() }, () => r.u8());
}

function buffer(bytes: Uint8Array): Uint8Array {
  const length = new Reader(bytes).u32();
  return length > 0x7000_0000 ? new Uint8Array(0) : new Uint8Array(length);
}

/** No constructor is told a size here, the list just grows. */
function growing(bytes: Uint8Array): number {
  const items: object[] = [];
  const count = new Reader(bytes).u16();
  for (let i = 0; i < count; i++) items.push({ i });
  return items.length;
}

function changesInput(bytes: Uint8Array): number {
  bytes[0] = 0;
  return bytes.length;
}

function squares(bytes: Uint8Array): number {
  const count = new Reader(bytes).u16();
  let sum = 0;
  for (let i = 0; i < count * 200; i++) sum = (sum + i) | 0;
  return sum;
}

function hangs(bytes: Uint8Array): number {
  let at = 0;
  while (bytes[0] === 0x80) at ^= 1;
  return at;
}

function exhausts(bytes: Uint8Array): number {
  const items: number[][] = [];
  while (bytes[0] === 0x80) items.push(new Array<number>(4096).fill(1));
  return items.length;
}

/** Its encoder writes a byte where its decoder reads two. */
const forgetful = codecTarget<number>({
  name: "forgetful",
  covers: COVERS,
  bytesMax: 64,
  values: [7],
  encode: (value) => new Writer().u16(value & 0xff).finish(),
  decode: (bytes) => refusing((all) => new Reader(all).u16())(bytes),
  kindOf: () => "number",
});

/** Nothing is wrong with it. */
function sound(bytes: Uint8Array): number {
  const r = new Reader(bytes);
  const inner = r.bytes(32);
  r.end();
  if (inner[0] === 1) return 1;
  return inner.length;
}

export const TARGETS: readonly Target[] = [
  target("magic", throwsBehindMagic),
  target("list", list),
  target("buffer", buffer),
  target("growing", growing),
  target("changes-input", changesInput),
  // A tenth of the usual limit, so that finding out, which takes several tries, takes a tenth, too.
  { ...target("squares", squares), limits: { time_ms: LIMITS.time_ms / 10 } },
  target("hanging", hangs),
  target("exhausting", exhausts),
  forgetful,
  target("sound", sound),
];
