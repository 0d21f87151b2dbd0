import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SEAL_OVERHEAD_BYTES, SecureChannel } from "../../lib/raincore/secureChannel.js";

const KEY = new Uint8Array(32).fill(7);
const PLAIN = new TextEncoder().encode("the token");

interface Who {
  readonly nodeId: number;
  readonly cluster?: string;
  readonly incarnation?: bigint;
  readonly clusterKey?: Uint8Array;
}

function channel({ nodeId, cluster = "front", incarnation = 1n, clusterKey = KEY }: Who): SecureChannel {
  return new SecureChannel({ nodeId, cluster, incarnation, clusterKey });
}

function causeOf(result: ReturnType<SecureChannel["open"]>): string {
  return result.ok ? "opened" : result.cause;
}

test("what one node seals for another, that one opens, with the sender's name", () => {
  const result = channel({ nodeId: 2 }).open(channel({ nodeId: 1 }).seal(2, PLAIN));
  assert.ok(result.ok);
  assert.equal(result.from, 1);
  assert.deepEqual(Uint8Array.from(result.plain), PLAIN);
});

test("an empty message can be sealed", () => {
  const sealed = channel({ nodeId: 1 }).seal(2, new Uint8Array(0));
  assert.equal(sealed.length, SEAL_OVERHEAD_BYTES);
  assert.ok(channel({ nodeId: 2 }).open(sealed).ok);
});

test("the plaintext cannot be read in the datagram, and no two datagrams are alike", () => {
  const sender = channel({ nodeId: 1 });
  const [a, b] = [Buffer.from(sender.seal(2, PLAIN)), Buffer.from(sender.seal(2, PLAIN))];
  assert.equal(a.includes(Buffer.from(PLAIN)), false);
  assert.equal(a.subarray(32).equals(b.subarray(32)), false);
});

test("short datagrams are refused as short", () => {
  const sealed = channel({ nodeId: 1 }).seal(2, new Uint8Array(0));
  for (let length = 0; length < SEAL_OVERHEAD_BYTES; length++) {
    assert.equal(causeOf(channel({ nodeId: 2 }).open(sealed.subarray(0, length))), "short");
  }
});

test("a datagram of another cluster is foreign", () => {
  const sealed = channel({ nodeId: 1, cluster: "back" }).seal(2, PLAIN);
  assert.equal(causeOf(channel({ nodeId: 2 }).open(sealed)), "foreign_cluster");
});

test("a datagram sealed with another key is forged", () => {
  const sealed = channel({ nodeId: 1, clusterKey: new Uint8Array(32).fill(8) }).seal(2, PLAIN);
  assert.equal(causeOf(channel({ nodeId: 2 }).open(sealed)), "forged");
});

test("no byte of a datagram can be changed unnoticed", () => {
  const sealed = channel({ nodeId: 1 }).seal(2, PLAIN);
  for (let at = 0; at < sealed.length; at++) {
    const damaged = Uint8Array.from(sealed);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.equal(channel({ nodeId: 2 }).open(damaged).ok, false, `byte ${at}`);
  }
});

test("a datagram for another node, or one's own sent back, is forged", () => {
  assert.equal(causeOf(channel({ nodeId: 3 }).open(channel({ nodeId: 1 }).seal(2, PLAIN))), "forged");
  const own = channel({ nodeId: 2 });
  assert.equal(causeOf(own.open(own.seal(2, PLAIN))), "forged");
});

test("a datagram is accepted once", () => {
  const receiver = channel({ nodeId: 2 });
  const sealed = channel({ nodeId: 1 }).seal(2, PLAIN);
  assert.ok(receiver.open(sealed).ok);
  assert.equal(causeOf(receiver.open(sealed)), "replayed");
});

test("datagrams may overtake each other within the window, and are refused beyond it", () => {
  const receiver = channel({ nodeId: 2 });
  const sender = channel({ nodeId: 1 });
  const sealed = Array.from({ length: 1100 }, () => sender.seal(2, PLAIN));
  const at = (index: number) => sealed[index] ?? new Uint8Array(0);
  assert.ok(receiver.open(at(1050)).ok);
  assert.ok(receiver.open(at(1049)).ok);
  assert.ok(receiver.open(at(27)).ok);
  assert.equal(causeOf(receiver.open(at(27))), "replayed");
  assert.equal(causeOf(receiver.open(at(26))), "replayed");
  assert.ok(receiver.open(at(1099)).ok);
  assert.equal(causeOf(receiver.open(at(1050))), "replayed");
});

test("a window that moves on by more than its size forgets nothing that it must refuse", () => {
  const receiver = channel({ nodeId: 2 });
  const sender = channel({ nodeId: 1 });
  const first = sender.seal(2, PLAIN);
  assert.ok(receiver.open(first).ok);
  let last = first;
  for (let i = 0; i < 3000; i++) last = sender.seal(2, PLAIN);
  assert.ok(receiver.open(last).ok);
  assert.equal(causeOf(receiver.open(first)), "replayed");
});

test("a restarted sender is heard, and its earlier life is not any more", () => {
  const receiver = channel({ nodeId: 2 });
  const [before, after] = [channel({ nodeId: 1, incarnation: 1n }), channel({ nodeId: 1, incarnation: 2n })];
  assert.ok(receiver.open(before.seal(2, PLAIN)).ok);
  assert.ok(receiver.open(after.seal(2, PLAIN)).ok);
  assert.equal(causeOf(receiver.open(before.seal(2, PLAIN))), "stale_incarnation");
});

test("a forged newer incarnation does not silence the sender", () => {
  const receiver = channel({ nodeId: 2 });
  const sender = channel({ nodeId: 1 });
  assert.ok(receiver.open(sender.seal(2, PLAIN)).ok);
  const forged = channel({ nodeId: 1, incarnation: 9n, clusterKey: new Uint8Array(32) }).seal(2, PLAIN);
  assert.equal(causeOf(receiver.open(forged)), "forged");
  assert.ok(receiver.open(sender.seal(2, PLAIN)).ok);
});

test("arbitrary bytes are refused, never thrown at", () => {
  const receiver = channel({ nodeId: 2 });
  const head = channel({ nodeId: 1 }).seal(2, PLAIN).subarray(0, 32);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(receiver.open(bytes).ok, false);
      assert.equal(receiver.open(Uint8Array.of(...head, ...bytes)).ok, false);
    }),
    { numRuns: 500, seed: 1 },
  );
});

test("a key of another length is refused at once", () => {
  assert.throws(() => channel({ nodeId: 1, clusterKey: new Uint8Array(16) }), RangeError);
});
