// The vectors as inputs of the packet path's fuzzer, in the layout that native/fuzz/input.h reads. Used by `main.ts --seeds` and by the fuzzer.
import type { Step, Vector } from "./vector.js";

const NS_PER_S = 1_000_000_000n;
const SPREAD = 0xffff;

/** Each vector; those with neighbour discovery once more, with checksums that are made right after every change. */
export function seedsOf(vectors: readonly Vector[]): Uint8Array[] {
  const neighbours = vectors.filter(({ steps }) => steps.some(({ frame }) => isIcmpv6(frame)));
  return [...vectors.map((vector) => seedOf(vector, 0)), ...neighbours.map((vector) => seedOf(vector, 1))];
}

function seedOf({ tables, steps }: Vector, flags: number): Uint8Array {
  const { self, members, departed, authority, lease, vips } = tables;
  const head = Buffer.alloc(6);
  head.writeUInt16BE(self, 0);
  head.writeUInt16BE(authority === "spread" ? SPREAD : authority, 2);
  head.writeUInt8((lease === "valid" ? 1 : 0) | (departed.length > 0 ? 2 : 0) | (vips === "ipv4" ? 4 : 0), 4);
  head.writeUInt8(
    members.filter((member) => member <= 8).reduce((mask, member) => mask | (1 << (member - 1)), 0),
    5,
  );
  return Buffer.concat([head, ...steps.map((step, index) => frameOf(step, steps[index - 1]?.after_ns ?? 0n, flags))]);
}

/** `before_ns`: of the frame before. */
function frameOf({ after_ns, frame }: Step, before_ns: bigint, flags: number): Uint8Array {
  const wait_ns = after_ns - before_ns;
  const head = Buffer.alloc(9);
  head.writeUInt8(flags, 0);
  head.writeUInt16BE(Number(wait_ns / NS_PER_S), 1);
  head.writeUInt32BE(Number(wait_ns % NS_PER_S), 3);
  head.writeUInt16BE(frame.length, 7);
  return Buffer.concat([head, frame]);
}

/** Untagged, and without extension headers. */
function isIcmpv6(frame: Uint8Array): boolean {
  return frame[12] === 0x86 && frame[13] === 0xdd && frame[20] === 58;
}
