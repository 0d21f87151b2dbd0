// How much of the room for events an event takes: no less than it is, at a cost that is bounded.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serialize } from "node:v8";
import fc from "fast-check";
import { EventQueue } from "../../lib/session/eventQueue.js";
import { eventBytes, plainBytes } from "../../lib/session/eventSize.js";
import type { SessionEvent } from "../../lib/session/protocol.js";

/** As the queue counts it. */
function counted(event: SessionEvent): number {
  let size = 0;
  const queue = new EventQueue(1, ({ bytes }) => {
    size = bytes;
  });
  queue.add(event);
  queue.flush();
  return size;
}

const members = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ nodeId: n + 1, incarnation: BigInt(n), ready: true }));
const big = "x".repeat(100_000);

describe("events are counted as large as they are", () => {
  const cases: readonly (readonly [string, SessionEvent, number])[] = [
    [
      "a view by its members",
      { type: "view", view: { epoch: 1, origin: 1, members: members(256), quorate: true, self: 1 } },
      256 * 32,
    ],
    ["a log entry by its fields", { type: "log", level: "warn", code: "x", fields: { why: big, n: 1 } }, 100_000],
    ["an answer by what it holds", { type: "answer", id: 1, result: { list: [big, { deep: [big] }] } }, 200_000],
    ["an answer by its bytes", { type: "answer", id: 1, result: [new Uint8Array(5_000_000)] }, 5_000_000],
    ["what a plugin emits", { type: "plugin", event: new Map([["key", new Set([big])]]) }, 100_000],
    ["a refusal by its words", { type: "refused", id: 1, error: { code: "x", message: big, fix: undefined } }, 100_000],
    [
      "the value of a carriage",
      { type: "carriage", name: "x", version: 1, bytes: new Uint8Array(9000), membership: 1 },
      9000,
    ],
  ];
  for (const [what, event, bytes_min] of cases) {
    test(what, () => {
      const bytes = counted(event);
      assert.ok(bytes >= bytes_min && bytes <= 3 * bytes_min, `${bytes}`);
    });
  }

  test("small ones by little", () => {
    for (const event of [
      { type: "lease", valid: true },
      { type: "answer", id: 1, result: undefined },
      { type: "log", level: "info", code: "x", fields: {} },
    ] as const) {
      assert.ok(eventBytes(event) <= 512);
    }
  });
});

describe("plain data", () => {
  test("is never taken for less than its serialised form", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true }), (data) => {
        assert.ok(plainBytes(data) >= serialize(data).length - 16);
      }),
      { numRuns: 1000, seed: 4 },
    );
  });

  test("that is too much to look at is estimated by its beginning", () => {
    const rows = Array.from({ length: 200_000 }, (_, n) => ({ name: `row ${n}`, size: n }));
    const bytes = plainBytes(rows);
    const serialised = serialize(rows).length;
    assert.ok(bytes >= serialised && bytes <= 10 * serialised, `${bytes} of ${serialised}`);
  });

  test("costs no more the more there is of it", () => {
    let looks = 0;
    const watched = (list: unknown[]): unknown =>
      new Proxy(list, {
        get: (target, key) => {
          looks += 1;
          return Reflect.get(target, key);
        },
      });
    plainBytes({ a: watched(Array.from({ length: 1_000_000 }, () => [1, 2, 3])) });
    assert.ok(looks > 1000 && looks < 20_000, `${looks} looks`);
  });

  test("that runs in circles has an end", () => {
    const round: { self?: unknown; text: string } = { text: big };
    round.self = [round, round];
    const bytes = plainBytes(round);
    assert.ok(bytes >= 100_000 && bytes < 400_000, `${bytes}`);
  });
});
