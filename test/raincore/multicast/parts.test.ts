// The parts of ordered multicast by themselves: the codec, the share, the assembler and the outbox.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Assembler } from "../../../lib/raincore/multicast/assembler.js";
import {
  type Carriage,
  CHUNK_BYTES_MAX,
  emptyCarriage,
  encodeCarriage,
  FLAG_FIRST,
  FLAG_LAST,
  FLAG_SAFE,
  newRecordHead,
  type Piece,
  readRecord,
  scanCarriage,
} from "../../../lib/raincore/multicast/codec.js";
import { type Guarantee, Outbox } from "../../../lib/raincore/multicast/outbox.js";
import { fairShare } from "../../../lib/raincore/multicast/share.js";
import { MEMBERS_MAX } from "../../../lib/raincore/token.js";

const WHOLE = FLAG_FIRST | FLAG_LAST;

function piece(flags: number, from: number, to: number, length = to): Piece {
  return { source: Uint8Array.from({ length }, (_, index) => index), from, to, flags };
}

function sample(top = 2 ** 40): Uint8Array {
  const added = [piece(WHOLE, 0, 5), piece(FLAG_FIRST | FLAG_SAFE, 0, 10, 30), piece(FLAG_LAST | FLAG_SAFE, 10, 30)];
  const members = [
    { nodeId: 1, upTo: top, sent: 7, waiting: 9 },
    { nodeId: 2, upTo: top - 3, sent: 0xffff_ffff, waiting: 0 },
  ];
  const view = { epoch: 5, origin: 6 };
  return encodeCarriage({ top, members, carriage: emptyCarriage(0), keptFrom: 0, added, sender: 3, view });
}

function scanned(bytes: Uint8Array): Carriage {
  const carriage = scanCarriage(bytes);
  assert.ok(carriage);
  return carriage;
}

test("a carriage is read as it was written, orders above 2^32 included", () => {
  const carriage = scanned(sample());
  assert.equal(carriage.top, 2 ** 40);
  assert.deepEqual(carriage.members[1], { nodeId: 2, upTo: 2 ** 40 - 3, sent: 0xffff_ffff, waiting: 0 });
  const record = newRecordHead();
  readRecord(carriage, 1, record);
  const { bodyAt, ...head } = record;
  assert.deepEqual(head, { flags: 3, sender: 3, epoch: 5, origin: 6, messageBytes: 30, bodyBytes: 10 });
  assert.equal(carriage.bytes[bodyAt + 9], 9);
});

test("records that stay are carried over byte for byte", () => {
  const carriage = scanned(sample());
  const { top } = carriage;
  const members = [{ nodeId: 1, upTo: top - 2, sent: 0, waiting: 0 }];
  const view = { epoch: 5, origin: 6 };
  const bytes = encodeCarriage({ top, members, carriage, keptFrom: 1, added: [], sender: 1, view });
  const kept = scanned(bytes);
  assert.equal(kept.count, 2);
  const tail = carriage.bytes.subarray(carriage.offsets[1]);
  assert.deepEqual(bytes.subarray(-tail.length), tail);
});

test("no bytes make the scan throw or read outside, and what it accepts is within its bounds", () => {
  const good = sample(100);
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length));
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), change), (drawn) => {
      const carriage = scanCarriage(drawn instanceof Uint8Array ? drawn : withByte(good, drawn));
      if (carriage === undefined) return;
      accepted += 1;
      const record = newRecordHead();
      for (let index = 0; index < carriage.count; index++) {
        readRecord(carriage, index, record);
        assert.ok(record.bodyAt + record.bodyBytes <= carriage.bytes.length);
      }
      for (const { upTo } of carriage.members) assert.ok(upTo <= carriage.top && upTo >= carriage.top - carriage.count);
    }),
    { numRuns: 5000 },
  );
  assert.ok(accepted > 0);
});

/** [what is wrong, where, with what] in a sample of 36 head bytes, and records at 36, 52 and 77. */
const BROKEN: readonly (readonly [string, number, number])[] = [
  ["a top beyond 2^53", 0, 0xff],
  ["more records than there are", 9, 4],
  ["fewer records than there are", 9, 2],
  ["a member that is behind more than there is", 15, 4],
  ["no nodeId", 13, 0],
  ["the same member twice", 25, 1],
  ["a length beyond the end", 77, 0x7f],
  ["a flag that does not exist", 38, 0x0e],
  ["no sender", 40, 0],
  ["a view older than that of the record before", 60, 4],
  ["a first chunk that is longer than its message", 66, 5],
  ["a message beyond the limit", 63, 2],
];

for (const [what, at, value] of BROKEN) {
  test(`refused: ${what}`, () => {
    const bytes = sample(100);
    assert.ok(scanCarriage(bytes));
    assert.notEqual(bytes[at], value);
    bytes[at] = value;
    assert.equal(scanCarriage(bytes), undefined);
  });
}

test("refused: any cut of a carriage, and one with a byte more", () => {
  const bytes = sample(100);
  for (let end = 0; end < bytes.length; end++) assert.equal(scanCarriage(bytes.subarray(0, end)), undefined, `${end}`);
  assert.equal(scanCarriage(Uint8Array.of(...bytes, 0)), undefined);
  const [added, view] = [[piece(FLAG_FIRST, 0, 10, 30)], { epoch: 5, origin: 6 }];
  const first = encodeCarriage({
    top: 1,
    members: [],
    carriage: emptyCarriage(0),
    keptFrom: 0,
    added,
    sender: 3,
    view,
  });
  assert.ok(scanCarriage(first));
  for (let end = 0; end < first.length; end++) assert.equal(scanCarriage(first.subarray(0, end)), undefined, `${end}`);
});

test("refused: more records than there ever were", () => {
  assert.ok(scanCarriage(sample(3)));
  assert.equal(scanCarriage(sample(2)), undefined);
});

test("refused: a view of the same epoch whose maker comes before that of the record before", () => {
  const carriage = scanned(sample(100));
  const after = (origin: number) => {
    const [added, view] = [[piece(WHOLE, 0, 5)], { epoch: 5, origin }];
    return scanCarriage(encodeCarriage({ top: 101, members: [], carriage, keptFrom: 0, added, sender: 3, view }));
  };
  assert.equal(after(6)?.count, 4);
  assert.equal(after(5), undefined);
});

test("refused: more members than may be, and a record that is longer than a chunk", () => {
  const content = { top: 1, carriage: emptyCarriage(0), keptFrom: 0, sender: 3, view: { epoch: 5, origin: 6 } };
  const scan = (memberCount: number, bodyBytes: number) => {
    const member = { upTo: 1, sent: 0, waiting: 0 };
    const members = Array.from({ length: memberCount }, (_, index) => ({ nodeId: index + 1, ...member }));
    return scanCarriage(encodeCarriage({ ...content, members, added: [piece(WHOLE, 0, bodyBytes)] }));
  };
  assert.ok(scan(MEMBERS_MAX, CHUNK_BYTES_MAX));
  assert.equal(scan(MEMBERS_MAX + 1, CHUNK_BYTES_MAX), undefined);
  assert.equal(scan(MEMBERS_MAX, CHUNK_BYTES_MAX + 1), undefined);
});

const SHARES: readonly (readonly [string, number, readonly number[], number])[] = [
  ["alone with its wishes, all", 1000, [0, 0, 0], 1000],
  ["with others that want all, an equal part", 1000, [5000, 5000, 5000], 250],
  ["with one that wants little, what that one leaves", 1000, [100, 0, 0], 900],
  ["with one that wants little and one that wants all, half of the rest", 1000, [100, 5000], 450],
  ["without others, all", 1000, [], 1000],
];

for (const [what, capacity, others, share] of SHARES) {
  test(`a member's share: ${what}`, () => assert.equal(fairShare(capacity, others), share));
}

function assemble(limit?: number) {
  const counters: Record<string, number> = {};
  const count = (cause: string) => {
    counters[cause] = (counters[cause] ?? 0) + 1;
  };
  const assembler = new Assembler(count, limit);
  assembler.enterView({ epoch: 1, origin: 1 });
  const add = (sender: number, flags: number, messageBytes: number, length: number) =>
    assembler.add({ ...newRecordHead(), sender, flags, messageBytes }, new Uint8Array(length).fill(sender));
  return { assembler, counters, add };
}

test("chunks of several senders come together without mixing", () => {
  const { add } = assemble();
  assert.equal(add(1, FLAG_FIRST, 4, 2), undefined);
  assert.equal(add(2, FLAG_FIRST, 3, 2), undefined);
  assert.deepEqual(add(2, FLAG_LAST, 0, 1), Uint8Array.of(2, 2, 2));
  assert.deepEqual(add(1, FLAG_LAST, 0, 2), Uint8Array.of(1, 1, 1, 1));
});

test("a message that is not as long as its first chunk said is dropped", () => {
  const { add, counters } = assemble();
  add(1, FLAG_FIRST, 4, 2);
  assert.equal(add(1, FLAG_LAST, 0, 1), undefined);
  add(2, FLAG_FIRST, 4, 2);
  assert.equal(add(2, 0, 0, 3), undefined);
  assert.equal(counters.partial_of_wrong_length, 2);
});

test("what began in an older view is never completed", () => {
  const { assembler, add, counters } = assemble();
  add(1, FLAG_FIRST, 4, 2);
  assembler.enterView({ epoch: 2, origin: 1 });
  assert.equal(add(1, FLAG_LAST, 0, 2), undefined);
  assert.equal(counters.chunk_without_beginning, 1);
});

test("messages that are under way take no more memory than the limit", () => {
  const { assembler, add, counters } = assemble(100);
  add(1, FLAG_FIRST, 60, 1);
  assert.equal(assembler.hasRoom(41), false);
  assert.equal(add(2, FLAG_FIRST, 41, 1), undefined);
  assert.equal(counters.partial_refused, 1);
  assembler.end(1);
  assert.equal(assembler.hasRoom(100), true);
});

function makeOutbox() {
  const outcomes: string[] = [];
  const outbox = new Outbox({
    queueBytes_max: 100_000,
    queueMessages_max: 100,
    onSettled: (id, outcome) => outcomes.push(`${id} ${outcome}`),
    onDrain: () => outcomes.push("drain"),
  });
  const send = (length: number, guarantee: Guarantee = "agreed") => outbox.offer(new Uint8Array(length), guarantee);
  return { outbox, outcomes, send };
}

test("pieces cover every message once, in order, whatever the room", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 1, maxLength: 10 }),
      fc.array(fc.integer({ min: 0, max: 8000 }), { minLength: 1, maxLength: 20 }),
      (lengths, rooms) => {
        const { outbox, send } = makeOutbox();
        for (const length of lengths) send(length);
        const covered: number[] = [];
        let next = 0;
        for (let visit = 0; !outbox.isEmpty && visit < 500; visit++) {
          const room = visit < rooms.length ? (rooms[visit] ?? 0) : 4000;
          const load = outbox.take(room, () => true);
          assert.ok(load.bytes <= room);
          for (const { from, to, flags } of load.pieces) {
            assert.equal(from, next);
            assert.equal((flags & FLAG_FIRST) !== 0, from === 0);
            next = to;
            if ((flags & FLAG_LAST) === 0) continue;
            covered.push(to);
            next = 0;
          }
        }
        assert.deepEqual(covered, lengths);
        assert.equal(outbox.waiting, 0);
      },
    ),
  );
});

test("messages that are put back come first again, in their order", () => {
  const { outbox, send } = makeOutbox();
  for (const length of [10, 20, 30]) send(length);
  const { completed } = outbox.take(60, () => true);
  assert.equal(completed.length, 2);
  outbox.putBack(completed.map(({ message }) => message));
  const again = outbox.take(1000, () => true);
  assert.deepEqual(
    again.pieces.map(({ to }) => to),
    [10, 20, 30],
  );
});

test("a large message waits for its turn to set out, and what is behind it waits too", () => {
  const { outbox, send } = makeOutbox();
  send(10_000);
  send(10);
  assert.equal(outbox.take(5000, () => false).pieces.length, 0);
  assert.equal(outbox.take(5000, () => true).pieces.length, 1);
});

test("what is given up is unsent", () => {
  const { outbox, outcomes, send } = makeOutbox();
  send(10);
  outbox.abandon();
  assert.deepEqual(outcomes, ["1 unsent"]);
  assert.equal(outbox.bytes, 0);
});

function withByte(bytes: Uint8Array, [at, value, length]: readonly [number, number, number]): Uint8Array {
  const changed = new Uint8Array(bytes);
  changed[at] = value;
  return changed.slice(0, length === 0 ? bytes.length : length);
}
