import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Aead, AeadKey } from "../../lib/raincore/aead.js";
import { REPLAY_WINDOW } from "../../lib/raincore/replayWindow.js";
import {
  type OpenResult,
  SEAL_OVERHEAD_BYTES,
  SEALED_BYTES_MIN,
  SecureChannel,
  sealedBytes,
} from "../../lib/raincore/secureChannel.js";
import { nodeAead } from "../../lib/session/aead.js";
import { FakeAead } from "../simulator/fakeAead.js";

const KEY = new Uint8Array(32).fill(7);
const KEY_2 = new Uint8Array(32).fill(8);
const KEY_3 = new Uint8Array(32).fill(9);
const PLAIN = new TextEncoder().encode("the token, and something more to be longer than the shortest body");
const PEERS = [1, 2, 3];

interface Who {
  readonly nodeId: number;
  readonly cluster?: string;
  readonly incarnation?: bigint;
  readonly keys?: readonly Uint8Array[];
  readonly peers?: readonly number[];
}

type MakeChannel = (who: Who) => SecureChannel;

/** Different bytes at every call, the same in every run. */
function chance(): (out: Uint8Array) => void {
  return (out) => {
    drawn += 1;
    out.set(createHash("sha512").update(String(drawn)).digest().subarray(0, out.length));
  };
}
let drawn = 0;

function channelsOf(aead: Aead): MakeChannel {
  return ({ nodeId, cluster = "front", incarnation = 1n, keys = [KEY], peers = PEERS }) =>
    new SecureChannel({ aead, random: chance(), nodeId, cluster, incarnation, clusterKeys: keys, peers });
}

/** Opening uses a datagram up; tests keep theirs. */
function open(channel: SecureChannel, datagram: Uint8Array, now_ms = 0): OpenResult {
  return channel.open(now_ms, Buffer.from(datagram));
}

function causeOf(result: OpenResult): string {
  return result.ok ? "opened" : result.cause;
}

function replyOf(result: OpenResult): Uint8Array | undefined {
  return result.ok || result.reply === undefined ? undefined : Buffer.from(result.reply);
}

/** Hands replies to and fro until there are none; the number of datagrams that it took. */
function converse(a: SecureChannel, b: SecureChannel, first: Uint8Array | undefined, now_ms = 0): number {
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
function acquainted(make: MakeChannel, sender: Partial<Who> = {}, receiver: Partial<Who> = {}) {
  const [a, b] = [make({ nodeId: 1, ...sender }), make({ nodeId: 2, ...receiver })];
  converse(a, b, a.hello(0, 2));
  return { a, b };
}

const AEADS: ReadonlyMap<string, Aead> = new Map([
  ["node's cipher", nodeAead()],
  ["the simulator's stand-in", new FakeAead()],
]);

for (const [name, aead] of AEADS) {
  const make = channelsOf(aead);

  describe(`the secure channel with ${name}`, () => {
    test("what one node seals for another, that one opens, with the sender's name", () => {
      const { a, b } = acquainted(make);
      const result = open(b, a.seal(2, PLAIN));
      assert.ok(result.ok);
      assert.equal(result.from, 1);
      assert.deepEqual(Uint8Array.from(result.plain), PLAIN);
    });

    test("messages of every length come out as they went in, and none is sealed shorter than a handshake", () => {
      const { a, b } = acquainted(make);
      for (let length = 0; length < 70; length++) {
        const plain = Uint8Array.from({ length }, (_, i) => 255 - i);
        const sealed = a.seal(2, plain);
        assert.equal(sealed.length, sealedBytes(length));
        assert.ok(sealed.length >= SEALED_BYTES_MIN);
        const result = open(b, sealed);
        assert.ok(result.ok, `length ${length}`);
        assert.deepEqual(Uint8Array.from(result.plain), plain);
      }
    });

    test("sealing and opening work in place, anywhere in a slab, and touch nothing around", () => {
      const { a, b } = acquainted(make);
      const slab = Buffer.alloc(500, 0xaa);
      const length = a.sealInto(2, PLAIN, slab, 100);
      assert.equal(length, PLAIN.length + SEAL_OVERHEAD_BYTES);
      const result = b.open(0, slab, 100, length);
      assert.ok(result.ok);
      assert.equal(result.plain.buffer, slab.buffer);
      assert.deepEqual(Uint8Array.from(result.plain), PLAIN);
      assert.ok(slab.subarray(0, 100).every((byte) => byte === 0xaa));
      assert.ok(slab.subarray(100 + length).every((byte) => byte === 0xaa));
    });

    test("sealing beyond the end of the buffer is refused before anything is written", () => {
      const a = make({ nodeId: 1 });
      const slab = Buffer.alloc(sealedBytes(PLAIN.length) + 9, 0xaa);
      assert.throws(() => a.sealInto(2, PLAIN, slab, 10), RangeError);
      assert.ok(slab.every((byte) => byte === 0xaa));
    });

    test("short datagrams are refused as short, also when the buffer goes on", () => {
      const { a, b } = acquainted(make);
      const sealed = a.seal(2, new Uint8Array(0));
      for (let length = 0; length < sealed.length; length++) {
        assert.equal(causeOf(open(b, sealed.subarray(0, length))), "short");
        assert.equal(causeOf(b.open(0, Buffer.from(sealed), 0, length)), "short");
      }
      assert.equal(causeOf(b.open(0, Buffer.from(sealed), 1, sealed.length)), "short");
    });

    test("foreign datagrams are refused by what is foreign about them", () => {
      const b = make({ nodeId: 2 });
      const sealed = (who: Who, to = 2) => open(b, make(who).seal(to, PLAIN));
      assert.equal(causeOf(sealed({ nodeId: 1, cluster: "back" })), "foreign_cluster");
      assert.equal(causeOf(sealed({ nodeId: 1, keys: [KEY_2] })), "unknown_key");
      assert.equal(causeOf(sealed({ nodeId: 4 })), "unknown_node");
      assert.equal(causeOf(sealed({ nodeId: 1 }, 3)), "misaddressed");
      assert.equal(causeOf(open(b, b.seal(2, PLAIN))), "misaddressed");
      const other = make({ nodeId: 1 }).seal(2, PLAIN);
      other[2] = 1;
      assert.equal(causeOf(open(b, other)), "version");
      other[0] = 0;
      assert.equal(causeOf(open(b, other)), "foreign_cluster");
    });

    test("no bit of a datagram can be changed unnoticed, whether its life is proven or not", () => {
      for (const isProven of [true, false]) {
        const { a, b } = isProven ? acquainted(make) : { a: make({ nodeId: 1 }), b: make({ nodeId: 2 }) };
        const sealed = a.seal(2, PLAIN);
        for (let bit = 0; bit < sealed.length * 8; bit++) {
          const damaged = Uint8Array.from(sealed);
          damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          // Time goes on, or the many unknown lives would be throttled.
          const result = open(b, damaged, 1 + bit);
          assert.ok(!result.ok, `bit ${bit}`);
          assert.ok(
            !["unproven", "handshake", "throttled", "malformed"].includes(result.cause),
            `bit ${bit}: ${result.cause}`,
          );
          assert.equal(result.reply, undefined);
        }
        assert.equal(causeOf(open(b, sealed, 10_000)), isProven ? "opened" : "unproven");
      }
    });

    test("a datagram is accepted once", () => {
      const { a, b } = acquainted(make);
      const sealed = a.seal(2, PLAIN);
      assert.equal(causeOf(open(b, sealed)), "opened");
      assert.equal(causeOf(open(b, sealed)), "replayed");
    });

    test("datagrams may overtake each other within the window, and are refused beyond it", () => {
      const { a, b } = acquainted(make);
      const sealed = Array.from({ length: REPLAY_WINDOW + 100 }, () => a.seal(2, PLAIN));
      const opened = (index: number) => causeOf(open(b, sealed[index] ?? new Uint8Array(0)));
      const newest = REPLAY_WINDOW + 50;
      assert.equal(opened(newest), "opened");
      assert.equal(opened(newest - 1), "opened");
      assert.equal(opened(51), "opened");
      assert.equal(opened(51), "replayed");
      assert.equal(opened(50), "replayed");
      assert.equal(opened(newest + 49), "opened");
      assert.equal(opened(newest), "replayed");
    });

    test("a window that moves on by more than its size forgets nothing that it must refuse", () => {
      const { a, b } = acquainted(make);
      const first = a.seal(2, PLAIN);
      assert.equal(causeOf(open(b, first)), "opened");
      let last = first;
      for (let i = 0; i < 3 * REPLAY_WINDOW; i++) last = a.seal(2, PLAIN);
      assert.equal(causeOf(open(b, last)), "opened");
      assert.equal(causeOf(open(b, first)), "replayed");
    });

    test("a first message proves its sender within one round trip, and the receiver half a one later", () => {
      const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
      const message = open(b, a.seal(2, PLAIN));
      assert.equal(causeOf(message), "unproven");
      const answer = open(a, replyOf(message) ?? assert.fail("no challenge"));
      assert.equal(causeOf(answer), "handshake");
      const proof = open(b, replyOf(answer) ?? assert.fail("no answer"));
      assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
      assert.equal(replyOf(open(a, replyOf(proof) ?? assert.fail("no second answer"))), undefined);
      assert.equal(causeOf(open(a, b.seal(1, PLAIN))), "opened");
    });

    test("nodes that greet each other at the same time believe each other, and fall silent", () => {
      const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
      const [fromA, fromB] = [a.hello(0, 2), b.hello(0, 1)].map((hello) => Buffer.from(hello ?? []));
      const [answerOfB, answerOfA] = [
        replyOf(open(b, fromA ?? Buffer.alloc(0))),
        replyOf(open(a, fromB ?? Buffer.alloc(0))),
      ];
      assert.equal(converse(b, a, answerOfB), 1);
      assert.equal(converse(a, b, answerOfA), 1);
      assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
      assert.equal(causeOf(open(a, b.seal(1, PLAIN))), "opened");
    });

    test("handshakes that get lost are made up for by later messages", () => {
      const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
      assert.notEqual(replyOf(open(b, a.seal(2, PLAIN), 0)), undefined);
      assert.equal(replyOf(open(b, a.seal(2, PLAIN), 1)), undefined, "challenged again at once");
      converse(b, a, replyOf(open(b, a.seal(2, PLAIN), 50)), 50);
      assert.equal(causeOf(open(b, a.seal(2, PLAIN), 51)), "opened");
    });

    test("what was recorded does nothing to a restarted receiver", () => {
      const { a, b } = acquainted(make);
      const recorded = [a.hello(10, 2) ?? new Uint8Array(0), ...Array.from({ length: 20 }, () => a.seal(2, PLAIN))].map(
        (datagram) => Buffer.from(datagram),
      );
      for (const datagram of recorded) open(b, datagram, 10);
      const restarted = make({ nodeId: 2, incarnation: 2n });
      for (const [i, datagram] of recorded.entries()) {
        assert.notEqual(causeOf(open(restarted, datagram, 100 * i)), "opened");
      }
      // And not when the sender, still in the same life, has proved itself to it either.
      converse(restarted, a, restarted.hello(10_000, 1), 10_000);
      assert.equal(causeOf(open(restarted, a.seal(2, PLAIN), 10_000)), "opened");
      for (const datagram of recorded) assert.equal(causeOf(open(restarted, datagram, 20_000)), "replayed");
    });

    test("a recorded handshake proves nothing to a restarted receiver", () => {
      const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
      const answer = replyOf(open(a, replyOf(open(b, a.seal(2, PLAIN))) ?? assert.fail("no challenge")));
      const restarted = make({ nodeId: 2, incarnation: 2n });
      const reply = replyOf(open(restarted, a.seal(2, PLAIN)));
      assert.notEqual(reply, undefined);
      open(restarted, answer ?? assert.fail("no answer"), 100);
      assert.equal(causeOf(open(restarted, a.seal(2, PLAIN), 100)), "unproven");
    });

    test("a restarted sender is heard after it proved itself, whichever way its clock went, and its earlier life is not any more", () => {
      for (const [incarnation, next] of [
        [5n, 6n],
        [5n, 4n],
        [5n, 5n],
      ] as const) {
        const { a, b } = acquainted(make, { incarnation });
        const restarted = make({ nodeId: 1, incarnation: next });
        assert.equal(causeOf(open(b, restarted.seal(2, PLAIN), 100)), "unproven");
        assert.equal(causeOf(open(b, a.seal(2, PLAIN), 100)), "opened", "not before it proved itself");
        converse(restarted, b, restarted.hello(200, 2), 200);
        assert.equal(causeOf(open(b, restarted.seal(2, PLAIN), 200)), "opened");
        assert.equal(causeOf(open(b, a.seal(2, PLAIN), 200)), "unproven");
      }
    });

    test("an earlier life cannot come back with the answer that proved it once", () => {
      const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 2 })];
      const answer = replyOf(open(a, replyOf(open(b, a.seal(2, PLAIN))) ?? assert.fail("no challenge")));
      open(b, answer ?? assert.fail("no answer"));
      const restarted = make({ nodeId: 1, incarnation: 2n });
      converse(restarted, b, restarted.hello(100, 2), 100);
      open(b, answer ?? assert.fail("no answer"), 200);
      assert.equal(causeOf(open(b, a.seal(2, PLAIN), 200)), "unproven");
      assert.equal(causeOf(open(b, restarted.seal(2, PLAIN), 200)), "opened");
    });

    test("replays of an earlier life do not keep the present one from proving itself", () => {
      const { a, b } = acquainted(make);
      const recorded = Array.from({ length: 50 }, () => a.seal(2, PLAIN));
      const restarted = make({ nodeId: 1, incarnation: 2n });
      const receiver = make({ nodeId: 2, incarnation: 2n });
      let now_ms = 1000;
      // The challenge that a replay causes goes to the node as it is now, and serves its present life as well.
      for (const datagram of recorded) {
        now_ms += 1;
        converse(receiver, restarted, replyOf(open(receiver, datagram, now_ms)), now_ms);
        if (causeOf(open(receiver, restarted.seal(2, PLAIN), now_ms)) === "opened") break;
      }
      assert.equal(causeOf(open(receiver, restarted.seal(2, PLAIN), now_ms)), "opened");
      assert.equal(causeOf(open(b, restarted.seal(2, PLAIN))), "unproven");
    });

    test("who has not the key cannot silence a proven life, nor get an answer", () => {
      const { a, b } = acquainted(make);
      const forger = make({ nodeId: 1, incarnation: 9n, keys: [KEY_2] });
      for (const forged of [forger.seal(2, PLAIN), forger.hello(0, 2) ?? assert.fail("no hello")]) {
        // As far as one can copy: all that is in the clear.
        const datagram = Buffer.from(forged);
        a.seal(2, PLAIN).copy(datagram, 8, 8, 10);
        const result = open(b, datagram, 100);
        assert.equal(causeOf(result), "forged");
        assert.equal(replyOf(result), undefined);
      }
      assert.equal(causeOf(open(b, a.seal(2, PLAIN), 100)), "opened");
    });

    test("nothing is answered with more bytes than came in", () => {
      const { a } = acquainted(make);
      const small = [a.seal(2, new Uint8Array(0)), Buffer.from(a.hello(100, 2) ?? [])];
      for (const [i, datagram] of small.entries()) {
        const reply = replyOf(open(make({ nodeId: 2, incarnation: BigInt(10 + i) }), datagram, 100));
        assert.ok(reply !== undefined && reply.length <= datagram.length);
      }
    });

    test("forged lives make no keys beyond the one for trying them, and are throttled", () => {
      let keys = 0;
      const counting: Aead = {
        newKey: (): AeadKey => {
          keys += 1;
          return aead.newKey();
        },
        derive: (...args) => aead.derive(...args),
      };
      const { a, b } = { a: make({ nodeId: 1 }), b: channelsOf(counting)({ nodeId: 2 }) };
      const before = keys;
      const causes = new Set<string>();
      const forged = a.seal(2, PLAIN);
      for (let i = 0; i < 1000; i++) {
        forged.writeUInt32BE(i + 100, 16);
        causes.add(causeOf(open(b, forged, 0)));
      }
      assert.equal(keys, before);
      assert.deepEqual([...causes].sort(), ["forged", "throttled"]);
      assert.equal(causeOf(open(b, a.seal(2, PLAIN), 100)), "unproven");
    });

    test("who feigns one node delays the proof of that one only, and not beyond the end of the flood", () => {
      const b = make({ nodeId: 2 });
      const forged = make({ nodeId: 1, keys: [KEY_2] }).seal(2, PLAIN);
      make({ nodeId: 1 }).seal(2, PLAIN).copy(forged, 8, 8, 10);
      let life = 100;
      const flood = (now_ms: number): string => {
        let last = "";
        for (let i = 0; i < 1000; i++) {
          forged.writeUInt32BE(life++, 16);
          last = causeOf(open(b, forged, now_ms));
        }
        return last;
      };
      const [feigned, other] = [make({ nodeId: 1, incarnation: 5n }), make({ nodeId: 3, incarnation: 5n })];
      assert.equal(flood(0), "throttled");
      assert.equal(causeOf(open(b, feigned.hello(0, 2) ?? PLAIN, 0)), "throttled");
      converse(other, b, other.hello(0, 2));
      assert.equal(causeOf(open(b, other.seal(2, PLAIN), 0)), "opened");
      converse(feigned, b, feigned.hello(10, 2), 10);
      // Once proven, no flood in its name silences it.
      assert.equal(flood(10), "throttled");
      assert.equal(causeOf(open(b, feigned.seal(2, PLAIN), 10)), "opened");
    });

    test("a life that proved itself ends the one before, also when its clock was set back, and no recording brings that one back", () => {
      const { a: former, b } = acquainted(make, { incarnation: 9n });
      const recorded = [former.seal(2, PLAIN), former.hello(5, 2) ?? PLAIN, former.seal(2, PLAIN)];
      const next = make({ nodeId: 1, incarnation: 3n });
      converse(next, b, next.hello(10, 2), 10);
      assert.equal(causeOf(open(b, next.seal(2, PLAIN), 10)), "opened");
      for (let now_ms = 20; now_ms < 100; now_ms += 10) {
        for (const datagram of recorded)
          assert.notEqual(causeOf(open(b, datagram, now_ms)), "opened", "a recording is believed");
        assert.equal(causeOf(open(b, next.seal(2, PLAIN), now_ms)), "opened");
      }
    });

    test("256 nodes that begin at once hear each other at the first attempt, and more lives than that are throttled", () => {
      const peers = Array.from({ length: 256 }, (_, i) => i + 1);
      const b = make({ nodeId: 256, peers });
      const causesOf = (incarnation: bigint) =>
        peers
          .filter((nodeId) => nodeId !== 256)
          .map((nodeId) => make({ nodeId, incarnation, peers }).hello(0, 256))
          .map((hello) => causeOf(open(b, hello ?? new Uint8Array(0), 0)));
      assert.deepEqual([...new Set(causesOf(1n))], ["handshake"]);
      assert.deepEqual([...new Set(causesOf(2n))], ["throttled"]);
    });

    test("a key is rolled over without a message lost, and the old one is refused at the end", () => {
      const { a, b } = acquainted(make);
      const exchange = (): string[] => [causeOf(open(b, a.seal(2, PLAIN))), causeOf(open(a, b.seal(1, PLAIN)))];
      const steps: [SecureChannel, Uint8Array[]][] = [
        [a, [KEY, KEY_2]],
        [b, [KEY, KEY_2]],
        [a, [KEY_2, KEY]],
        [b, [KEY_2, KEY]],
        [a, [KEY_2]],
      ];
      for (const [channel, keys] of steps) {
        channel.setKeys(keys);
        assert.deepEqual(exchange(), ["opened", "opened"]);
      }
      b.setKeys([KEY_2]);
      assert.deepEqual(exchange(), ["opened", "opened"]);
      const old = make({ nodeId: 1, keys: [KEY] });
      assert.equal(causeOf(open(b, old.seal(2, PLAIN))), "unknown_key");
    });

    test("a datagram that was opened under one key is not opened again after a rollover", () => {
      const { a, b } = acquainted(make);
      const sealed = a.seal(2, PLAIN);
      assert.equal(causeOf(open(b, sealed)), "opened");
      b.setKeys([KEY_3, KEY_2, KEY]);
      assert.equal(causeOf(open(b, sealed)), "replayed");
      assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
    });

    test("key rings that cannot be used are refused, and change nothing", () => {
      const { a, b } = acquainted(make);
      for (const keys of [[], [KEY, KEY_2, KEY_3, new Uint8Array(32)], [new Uint8Array(16)], [KEY, KEY]]) {
        assert.throws(() => b.setKeys(keys), RangeError);
        assert.throws(() => make({ nodeId: 1, keys }), RangeError);
      }
      assert.equal(causeOf(open(b, a.seal(2, PLAIN))), "opened");
    });

    test("arbitrary bytes are refused, never thrown at", () => {
      const { a, b } = acquainted(make);
      const head = a.seal(2, PLAIN).subarray(0, 32);
      let now_ms = 0;
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          now_ms += 10;
          assert.equal(open(b, bytes, now_ms).ok, false);
          assert.equal(open(b, Uint8Array.of(...head, ...bytes), now_ms).ok, false);
          assert.equal(open(b, Uint8Array.of(...head.subarray(0, 16), ...bytes), now_ms).ok, false);
        }),
        { numRuns: 500, seed: 1 },
      );
    });
  });
}

test("the plaintext cannot be read in the datagram, and no two datagrams are alike", () => {
  const sender = channelsOf(nodeAead())({ nodeId: 1 });
  const [a, b] = [sender.seal(2, PLAIN), sender.seal(2, PLAIN)];
  assert.equal(a.includes(Buffer.from(PLAIN)), false);
  assert.equal(a.subarray(32).equals(b.subarray(32)), false);
});

test("two lives with one incarnation do not share a keystream", () => {
  const make = channelsOf(nodeAead());
  const [a, b] = [make({ nodeId: 1 }), make({ nodeId: 1 })];
  const [x, y] = [a.seal(2, PLAIN), b.seal(2, PLAIN)];
  assert.deepEqual(x.subarray(24, 32), y.subarray(24, 32), "not the same counter");
  assert.equal(x.subarray(32).equals(y.subarray(32)), false);
});
