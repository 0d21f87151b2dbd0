// Requests and events on their way between the two threads: whole, in order, in few pieces.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EventQueue, unpackEvent } from "../../lib/session/eventQueue.js";
import type { PostedEvent, PostedRequest, SessionEvent, SessionRequest } from "../../lib/session/protocol.js";
import { RequestQueue, unpackRequest } from "../../lib/session/requestQueue.js";

const SELF = 3;
const PLAIN = { noNullPrototype: true } as const;
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 8_000, max: 70_000 }).map((length) => new Uint8Array(length).fill(length)),
);
const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

const event: fc.Arbitrary<SessionEvent> = fc.oneof(
  fc.record(
    { type: fc.constant("delivery" as const), from: fc.constantFrom(SELF, 4), epoch: id, origin: id, bytes },
    PLAIN,
  ),
  fc.record({ type: fc.constant("settled" as const), id, outcome: fc.constantFrom("delivered", "unknown") }, PLAIN),
  fc.record({ type: fc.constant("lease" as const), valid: fc.boolean() }, PLAIN),
);
const request: fc.Arbitrary<SessionRequest> = fc.oneof(
  fc.record(
    { type: fc.constant("multicast" as const), id, bytes, guarantee: fc.constantFrom("agreed", "safe") },
    PLAIN,
  ),
  fc.record({ type: fc.constant("send" as const), id, to: id, bytes }, PLAIN),
  fc.record({ type: fc.constant("release" as const), id }, PLAIN),
);

describe("what is posted arrives as it was, in its order", () => {
  it("from the ring to the host, in any mixture", () => {
    fc.assert(
      fc.property(fc.array(fc.array(event, { maxLength: 30 }), { maxLength: 4 }), (turns) => {
        const arrived: SessionEvent[] = [];
        const queue = new EventQueue(SELF, ({ events }, transfer) => {
          const received = structuredClone(events, { transfer: [...transfer] }) as readonly PostedEvent[];
          for (const posted of received) unpackEvent(posted, (one) => arrived.push(one));
        });
        for (const turn of turns) {
          for (const one of turn) queue.add(one);
          queue.flush();
          assert.ok(queue.isEmpty);
        }
        assert.deepEqual(arrived, turns.flat());
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it("from the host to the ring, in any mixture", () => {
    fc.assert(
      fc.property(fc.array(fc.array(request, { maxLength: 30 }), { maxLength: 4 }), (turns) => {
        const arrived: SessionRequest[] = [];
        const queue = new RequestQueue((requests, transfer) => {
          const received = structuredClone(requests, { transfer: [...transfer] }) as readonly PostedRequest[];
          for (const posted of received) unpackRequest(posted, (one) => arrived.push(one));
        });
        for (const turn of turns) {
          for (const one of turn) queue.add(one);
          queue.flush();
          assert.ok(queue.isEmpty);
        }
        assert.deepEqual(arrived, turns.flat());
      }),
      { numRuns: 200, seed: 2 },
    );
  });

  it("as the bytes were when they were added", () => {
    let posted: readonly PostedRequest[] = [];
    const queue = new RequestQueue((requests) => {
      posted = requests;
    });
    const mine = Buffer.from("before");
    queue.add({ type: "multicast", id: 1, bytes: mine, guarantee: "agreed" });
    queue.add({ type: "send", id: 2, to: 4, bytes: mine });
    mine.fill(0);
    queue.flush();
    const texts = posted.map((one) => ("bytes" in one ? Buffer.from(one.bytes ?? []).toString() : ""));
    assert.deepEqual(texts, ["before", "before"]);
  });
});

describe("a turn of the loop is posted cheaply", () => {
  it("60 own messages of 1 KiB and their outcomes as one event whose memory is given away", () => {
    let posted: readonly PostedEvent[] = [];
    let given: readonly ArrayBuffer[] = [];
    let size = 0;
    const queue = new EventQueue(SELF, ({ events, bytes }, transfer) => {
      posted = events;
      given = transfer;
      size = bytes;
    });
    for (let n = 1; n <= 60; n++) {
      queue.add({ type: "delivery", from: SELF, epoch: 9, origin: 1, bytes: new Uint8Array(1024) });
      queue.add({ type: "settled", id: n, outcome: "delivered" });
    }
    queue.flush();
    assert.deepEqual(
      posted.map(({ type }) => type),
      ["deliveries"],
    );
    assert.equal(given.length, 1);
    assert.ok(size >= 60 * 1024 && size < 100 * 1024, `${size} bytes are counted`);
  });

  it("a small Buffer without the pool that it is a part of", () => {
    let posted: readonly PostedRequest[] = [];
    const queue = new RequestQueue((requests) => {
      posted = requests;
    });
    queue.add({ type: "send", id: 1, to: 4, bytes: Buffer.from("small") });
    queue.add({ type: "update", id: 2, name: "x", ifVersion: 0, membership: 0, bytes: Buffer.from("small") });
    queue.add({ type: "multicast", id: 3, bytes: Buffer.from("small"), guarantee: "safe" });
    queue.flush();
    const sizes = posted.map((one) => ("bytes" in one ? one.bytes?.buffer.byteLength : undefined));
    assert.deepEqual(sizes, [5, 5, 5]);
  });
});
