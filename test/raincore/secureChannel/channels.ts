// Secure channels for the tests of this folder, and the two ciphers under which all of them run.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe } from "node:test";
import type { Aead } from "../../../lib/raincore/aead.js";
import { type OpenResult, SecureChannel } from "../../../lib/raincore/secureChannel.js";
import { nodeAead } from "../../../lib/session/aead.js";
import { FakeAead } from "../../simulator/fakeAead.js";

export const KEY = new Uint8Array(32).fill(7);
export const KEY_2 = new Uint8Array(32).fill(8);
export const KEY_3 = new Uint8Array(32).fill(9);
export const PLAIN = new TextEncoder().encode("the token, and something more to be longer than the shortest body");
const PEERS = [1, 2, 3];

export interface Who {
  readonly nodeId: number;
  readonly cluster?: string;
  readonly incarnation?: bigint;
  readonly keys?: readonly Uint8Array[];
  readonly peers?: readonly number[];
}

export type MakeChannel = (who: Who) => SecureChannel;

/** Different bytes at every call, the same in every run. */
function chance(): (out: Uint8Array) => void {
  return (out) => {
    drawn += 1;
    out.set(createHash("sha512").update(String(drawn)).digest().subarray(0, out.length));
  };
}
let drawn = 0;

export function channelsOf(aead: Aead): MakeChannel {
  return ({ nodeId, cluster = "front", incarnation = 1n, keys = [KEY], peers = PEERS }) =>
    new SecureChannel({ aead, random: chance(), nodeId, cluster, incarnation, clusterKeys: keys, peers });
}

/** Opening uses a datagram up; tests keep theirs. */
export function open(channel: SecureChannel, datagram: Uint8Array, now_ms = 0): OpenResult {
  return channel.open(now_ms, Buffer.from(datagram));
}

export function causeOf(result: OpenResult): string {
  return result.ok ? "opened" : result.cause;
}

export function replyOf(result: OpenResult): Uint8Array | undefined {
  return result.ok || result.reply === undefined ? undefined : Buffer.from(result.reply);
}

/** Hands replies to and fro until there are none; the number of datagrams that it took. */
export function converse(a: SecureChannel, b: SecureChannel, first: Uint8Array | undefined, now_ms = 0): number {
  let datagram = first;
  let count = 0;
  for (let receiver = b; datagram !== undefined; receiver = receiver === a ? b : a) {
    datagram = replyOf(open(receiver, datagram, now_ms));
    count += 1;
    assert.ok(count < 10, "they never stop");
  }
  return count;
}

/** Node 1 and node 2, that believe each other. */
export function acquainted(make: MakeChannel, sender: Partial<Who> = {}, receiver: Partial<Who> = {}) {
  const [a, b] = [make({ nodeId: 1, ...sender }), make({ nodeId: 2, ...receiver })];
  converse(a, b, a.hello(0, 2));
  return { a, b };
}

const AEADS: ReadonlyMap<string, Aead> = new Map([
  ["node's cipher", nodeAead()],
  ["the simulator's stand-in", new FakeAead()],
]);

/** The same tests with every cipher. */
export function withEachCipher(subject: string, define: (make: MakeChannel, aead: Aead) => void): void {
  for (const [name, aead] of AEADS) describe(`${subject}, with ${name}`, () => define(channelsOf(aead), aead));
}
