import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decode, encode, type Message } from "../../lib/raincore/messages.js";
import { CARRIAGES_MAX, MEMBERS_MAX } from "../../lib/raincore/token.js";
import { Reader, WireError, Writer } from "../../lib/raincore/wire.js";

const group = { epoch: 7, origin: 3, nodeIds: [1, 2, 65535] };
const id = { epoch: 7, origin: 3, seq: 0xffff_fffe };

const MESSAGES: readonly Message[] = [
  {
    type: "token",
    token: {
      ...id,
      hurry: 2,
      rested_ms: 17.5,
      members: [
        { nodeId: 1, incarnation: 5n, session: 1, ready: true, passed_ms: 12.5 },
        { nodeId: 65535, incarnation: 2n ** 63n, session: 9, ready: false, passed_ms: undefined },
      ],
      carriages: [{ name: "vip", format: 1, version: 4, bytes: Uint8Array.of(1, 2, 3) }],
    },
  },
  { type: "ack", id },
  { type: "nack", id, reason: "older", newest: { ...id, epoch: 8 }, listed: true, group },
  { type: "nack", id, reason: "absent", newest: id, listed: false, group },
  { type: "call", round: 3, copy: id, passed_ms: 3.25 },
  { type: "call", round: 4, copy: id, passed_ms: undefined },
  { type: "answer", round: 3, verdict: "removed", epoch: 9, answered_ms: 1e9, group },
  { type: "join", incarnation: 4n, session: 2, epoch: 6, heard: [{ nodeId: 9, incarnation: 5n, session: 3 }] },
  { type: "beacon", sent_ms: 12.5, echo_ms: 7, group },
  { type: "wake", view: { epoch: 7, origin: 3 } },
];

for (const message of MESSAGES) {
  test(`a ${message.type} message survives its way over the wire`, () => {
    const result = decode(encode(message));
    assert.ok(result.ok);
    assert.deepEqual(result.message, message);
  });

  test(`a ${message.type} message cut short anywhere, or with a byte too many, is malformed`, () => {
    const bytes = encode(message);
    for (let length = 0; length < bytes.length; length++) {
      assert.deepEqual(decode(bytes.subarray(0, length)), { ok: false, cause: "malformed" });
    }
    assert.deepEqual(decode(Uint8Array.of(...bytes, 0)), { ok: false, cause: "malformed" });
  });
}

test("a type that nobody knows is told apart from a malformed message", () => {
  assert.deepEqual(decode(Uint8Array.of(99, 1, 2)), { ok: false, cause: "unknown_type" });
});

/** The greatest type there is, and one more. */
const TYPE_MAX = 12;

test("arbitrary bytes never make the decoder throw", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: TYPE_MAX }), fc.uint8Array({ maxLength: 200 }), (type, rest) => {
      decode(Uint8Array.of(type, ...rest));
    }),
    { numRuns: 2000, seed: 1 },
  );
});

test("a flipped byte gives another message or a refusal, never an exception", () => {
  for (const message of MESSAGES) {
    const bytes = encode(message);
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        decode(damaged);
      }
    }
  }
});

test("a token with a member or a carriage twice, or with nodeId 0, is malformed", () => {
  const member = { nodeId: 1, incarnation: 1n, session: 1, ready: true, passed_ms: undefined };
  const carriage = { name: "vip", format: 1, version: 1, bytes: new Uint8Array(0) };
  const token = { ...id, hurry: 0, rested_ms: 0, members: [member], carriages: [carriage] };
  const bad = [
    { ...token, members: [member, member] },
    { ...token, carriages: [carriage, carriage] },
    { ...token, carriages: [{ ...carriage, name: "Vip!" }] },
    { ...token, carriages: [{ ...carriage, name: "v".repeat(33) }] },
    { ...token, members: [{ ...member, nodeId: 0 }] },
  ];
  for (const one of bad)
    assert.deepEqual(decode(encode({ type: "token", token: one })), { ok: false, cause: "malformed" });
});

const token = { ...id, hurry: 0, rested_ms: 0, members: [], carriages: [] };
const nodeIds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
/** Messages in which something is there so often. */
const LISTS: readonly (readonly [what: string, max: number, messageWith: (count: number) => Message])[] = [
  [
    "members of a token",
    MEMBERS_MAX,
    (count) => {
      const member = { incarnation: 1n, session: 1, ready: true, passed_ms: undefined };
      return { type: "token", token: { ...token, members: nodeIds(count).map((nodeId) => ({ nodeId, ...member })) } };
    },
  ],
  [
    "carriages of a token",
    CARRIAGES_MAX,
    (count) => {
      const carriage = { format: 1, version: 1, bytes: new Uint8Array(0) };
      return {
        type: "token",
        token: { ...token, carriages: nodeIds(count).map((n) => ({ name: `c${n}`, ...carriage })) },
      };
    },
  ],
  ["hops in a hurry", MEMBERS_MAX, (count) => ({ type: "token", token: { ...token, hurry: count } })],
  [
    "members of a group",
    MEMBERS_MAX,
    (count) => ({ type: "beacon", sent_ms: 1, echo_ms: 1, group: { ...group, nodeIds: nodeIds(count) } }),
  ],
  [
    "askers that were heard",
    MEMBERS_MAX,
    (count) => {
      const heard = nodeIds(count).map((nodeId) => ({ nodeId, incarnation: 1n, session: 1 }));
      return { type: "join", incarnation: 1n, session: 1, epoch: 0, heard };
    },
  ],
];

for (const [what, max, messageWith] of LISTS) {
  test(`of ${what} there are ${max} at most`, () => {
    assert.deepEqual(decode(encode(messageWith(max))), { ok: true, message: messageWith(max) });
    assert.deepEqual(decode(encode(messageWith(max + 1))), { ok: false, cause: "malformed" });
  });
}

test("a reader refuses text that is not UTF-8, flags that are neither, and numbers that are not finite", () => {
  assert.throws(() => new Reader(Uint8Array.of(0, 1, 0xff)).text(10), WireError);
  assert.throws(() => new Reader(Uint8Array.of(2)).flag(), WireError);
  assert.throws(() => new Reader(new Writer().f64(Number.NaN).finish()).f64(), WireError);
  assert.throws(() => new Writer().bytes(new Uint8Array(70_000)), WireError);
});

test("a writer grows as needed", () => {
  const bytes = new Writer().bytes(new Uint8Array(5000).fill(7)).text("grown").finish();
  const reader = new Reader(bytes);
  assert.equal(reader.bytes(5000).length, 5000);
  assert.equal(reader.text(10), "grown");
  reader.end();
});

test("what was decoded stays as it was when the datagram's memory is used again", () => {
  const [sent] = MESSAGES;
  assert.ok(sent?.type === "token");
  const slab = Buffer.from(encode(sent));
  const result = decode(slab);
  slab.fill(0);
  assert.ok(result.ok);
  assert.deepEqual(result.message, sent);
});
