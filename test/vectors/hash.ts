// SipHash-1-3 (Aumasson and Bernstein, 2012) of a flow, as the oracle's slot: with big integers, from the paper's description.
import type { Flow } from "./oracle.js";

const MASK = (1n << 64n) - 1n;
const SLOTS = 65537n;

/** Key of all vectors: 16 bytes, 00 01 … 0f, read as the addon reads them. */
export const HASH_KEY = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");

export function slotOf(flow: Flow): number {
  return Number(sipHash(wordsOf(flow)) % SLOTS);
}

/** See rf_flow_hash: two words an address (IPv4 in the second), then ports, ethertype and protocol. */
function wordsOf({ family, protocol, low, high }: Flow): bigint[] {
  const ports = BigInt(low.port * 0x10000 + high.port);
  const ethertype = family === 4 ? 0x0800n : 0x86ddn;
  return [...halves(low.address), ...halves(high.address), (ports << 32n) | (ethertype << 16n) | BigInt(protocol)];
}

function halves(address: Uint8Array): [bigint, bigint] {
  const value = BigInt(`0x${Buffer.from(address).toString("hex")}`);
  return [value >> 64n, value & MASK];
}

function sipHash(words: readonly bigint[]): bigint {
  const k0 = HASH_KEY.readBigUInt64BE(0);
  const k1 = HASH_KEY.readBigUInt64BE(8);
  const v: [bigint, bigint, bigint, bigint] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ];
  const absorb = (word: bigint): void => {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
  };
  for (const word of words) absorb(word);
  absorb(BigInt(words.length * 8) << 56n);
  v[2] ^= 0xffn;
  for (let n = 0; n < 3; n++) round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

function round(v: [bigint, bigint, bigint, bigint]): void {
  const turn = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (64n - by))) & MASK;
  v[0] = (v[0] + v[1]) & MASK;
  v[1] = turn(v[1], 13n) ^ v[0];
  v[0] = turn(v[0], 32n);
  v[2] = (v[2] + v[3]) & MASK;
  v[3] = turn(v[3], 16n) ^ v[2];
  v[0] = (v[0] + v[3]) & MASK;
  v[3] = turn(v[3], 21n) ^ v[0];
  v[2] = (v[2] + v[1]) & MASK;
  v[1] = turn(v[1], 17n) ^ v[2];
  v[2] = turn(v[2], 32n);
}
