import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  claimBytes,
  decodeLocks,
  encodeLocks,
  isLockName,
  LOCK_CARRIAGE_BYTES_MAX,
  LOCKS_MAX,
  tableBytes,
} from "../../../lib/raincore/locks/codec.js";
import { type Claim, enqueue, grant, type LockTable, NO_TABLE } from "../../../lib/raincore/locks/policy.js";

const claim = (node: number, request: number): Claim => ({ node, incarnation: 2n ** 63n + 5n, request });

const TABLE: LockTable = {
  top: 0x0102_0304_0005_0006n,
  quorate: true,
  calm: { stamp: 7n, wait_ms: 12.5 },
  locks: [
    {
      name: "backup",
      holder: claim(1, 9),
      fence: 8n,
      handedOver: true,
      queue: [claim(65_535, 0xffff_ffff), claim(2, 1)],
    },
    { name: "x".repeat(64), holder: undefined, fence: 0n, handedOver: false, queue: [claim(3, 1)] },
  ],
};

test("a table comes back as it was written", () => {
  assert.deepEqual(decodeLocks(encodeLocks(TABLE)), TABLE);
  assert.deepEqual(decodeLocks(encodeLocks(NO_TABLE)), NO_TABLE);
});

describe("these are no lock tables:", () => {
  const [backup, other] = TABLE.locks;
  assert.ok(backup && other);
  const rows: readonly (readonly [title: string, table: LockTable])[] = [
    ["a name twice", { ...TABLE, locks: [backup, backup] }],
    ["a name with a blank", { ...TABLE, locks: [{ ...backup, name: "a b" }] }],
    ["no name", { ...TABLE, locks: [{ ...backup, name: "" }] }],
    ["a name that is too long", { ...TABLE, locks: [{ ...backup, name: "y".repeat(65) }] }],
    ["a lock that nobody has or wants", { ...TABLE, locks: [{ ...other, queue: [] }] }],
    ["a fence above the top", { ...TABLE, locks: [{ ...backup, fence: TABLE.top + 1n }] }],
    ["a stamp at the end of all numbers", { ...TABLE, calm: { stamp: 0xffff_ffff_0000_0000n, wait_ms: 1 } }],
    ["numbers at their end", { ...TABLE, top: 0xffff_ffff_0000_0000n }],
    ["a negative wait", { ...TABLE, calm: { stamp: 1n, wait_ms: -1 } }],
    ["an endless wait", { ...TABLE, calm: { stamp: 1n, wait_ms: Number.POSITIVE_INFINITY } }],
    ["more in a queue than may be", { ...TABLE, locks: [{ ...other, queue: Array(257).fill(claim(1, 1)) }] }],
  ];
  for (const [title, table] of rows) test(title, () => assert.equal(decodeLocks(encodeLocks(table)), undefined));

  test("every cut of one, and one with a byte more", () => {
    const bytes = encodeLocks(TABLE);
    for (let end = 0; end < bytes.length; end++) assert.equal(decodeLocks(bytes.subarray(0, end)), undefined);
    assert.equal(decodeLocks(new Uint8Array([...bytes, 0])), undefined);
  });

  /** So many locks, each of which somebody wants. */
  const wanted = (count: number, nameChars: number): LockTable => {
    const locks = Array.from({ length: count }, (_, i) => ({ ...other, name: String(i).padStart(nameChars, "x") }));
    return { ...TABLE, locks };
  };

  test("one with more locks than may be", () => {
    assert.equal(decodeLocks(encodeLocks(wanted(LOCKS_MAX, 3)))?.locks.length, LOCKS_MAX);
    assert.equal(decodeLocks(encodeLocks(wanted(LOCKS_MAX + 1, 3))), undefined);
  });

  test("one that is larger than its carriage", () => {
    const oneBytes = encodeLocks(wanted(1, 64)).length - encodeLocks(wanted(0, 64)).length;
    const fitting = Math.floor((LOCK_CARRIAGE_BYTES_MAX - encodeLocks(wanted(0, 64)).length) / oneBytes);
    assert.ok(fitting < LOCKS_MAX);
    assert.equal(decodeLocks(encodeLocks(wanted(fitting, 64)))?.locks.length, fitting);
    assert.equal(decodeLocks(encodeLocks(wanted(fitting + 1, 64))), undefined);
  });
});

test("any bytes are read without a throw, and what is read is written as the same bytes", () => {
  const written = encodeLocks(TABLE);
  const mutated = fc.array(fc.tuple(fc.nat(written.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
    const bytes = written.slice();
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
      const table = decodeLocks(bytes);
      if (table !== undefined) assert.deepEqual(encodeLocks(table), bytes);
    }),
    { numRuns: 2000 },
  );
});

test("the size that a table is reckoned to have is enough for it, granted or not", () => {
  const wish = fc.record({ name: fc.constantFrom("a", "bb", "a-longer-name"), node: fc.integer({ min: 1, max: 5 }) });
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 40 }), (wishes) => {
      let table = NO_TABLE;
      let bytes = tableBytes(table);
      for (const [request, { name, node }] of wishes.entries()) {
        bytes += claimBytes(name, !table.locks.some((record) => record.name === name));
        table = enqueue(table, name, { node, incarnation: 1n, request });
        assert.equal(tableBytes(table), bytes);
      }
      const members = new Map<number, bigint>();
      const lacking = new Set<number>();
      const at = {
        members,
        removed: new Map(),
        lacking,
        quorate: true,
        confirmed: true,
        lease_ms: 1,
        base: 1n,
        seen: 0n,
      };
      const granted = grant(table, at);
      assert.equal(tableBytes(granted), bytes);
      assert.equal(encodeLocks(granted).length, bytes);
      assert.ok(encodeLocks(table).length <= bytes);
    }),
  );
});

test("names are printable ASCII without blanks", () => {
  for (const name of ["a", "db/backup:1", "~!@#$%^&*()"]) assert.ok(isLockName(name), name);
  for (const name of ["", " ", "a\n", "ü", "\u007f", "x".repeat(65)]) assert.ok(!isLockName(name), name);
});
