// What the keeper carries between the addon's share of connections and the other nodes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { ConnectionKeeper } from "../../lib/conntrack/connectionKeeper.js";
import type { ConntrackFigures, ConntrackShare, FrontPortTables } from "../../lib/native.js";
import { buildMaglev } from "../../lib/steering/maglev.js";

type Delivery = ReturnType<ConntrackShare["take"]>[number];

/** The addon's part, which the test drives. */
class Share implements ConntrackShare {
  readonly became: { readonly tables: FrontPortTables; readonly withoutSelf: Uint16Array }[] = [];
  readonly received: { readonly from: number; readonly purpose: string; readonly records: Uint8Array }[] = [];
  readonly drains: boolean[] = [];
  waiting: Delivery[][] = [];
  isClosed = false;
  onWaiting: () => void = () => {};

  become(tables: FrontPortTables, withoutSelf: Uint16Array): void {
    this.became.push({ tables, withoutSelf });
  }
  take(): readonly Delivery[] {
    return this.waiting.shift() ?? [];
  }
  receive(from: number, purpose: string, records: Uint8Array): void {
    this.received.push({ from, purpose, records });
  }
  drain(isDraining: boolean): void {
    this.drains.push(isDraining);
  }
  replica(): undefined {}
  figures(): ConntrackFigures {
    return { told: 3 } as ConntrackFigures;
  }
  close(): void {
    this.isClosed = true;
  }
}

function keeperOf(send: (node: number, bytes: Uint8Array) => Promise<void> = async () => {}, flows?: number) {
  const share = new Share();
  const warned: unknown[] = [];
  const log = pino({ base: null }, { write: (line: string) => warned.push(JSON.parse(line)) });
  // A constructor may return another object: what the keeper makes is the one that the test holds.
  function ConntrackShare(_limits: unknown, onWaiting: () => void): Share {
    share.onWaiting = onWaiting;
    return share;
  }
  const native = { ConntrackShare } as unknown as ConstructorParameters<typeof ConnectionKeeper>[0]["native"];
  return { share, warned, keeper: new ConnectionKeeper({ self: 1, native, flows, send, log }) };
}

/** Until all that is under way in this turn is done. */
const turn = () => new Promise((resolve) => setImmediate(resolve));
const KEY = new Uint8Array(16).fill(7);

/** Nodes that share the flows. */
function sharing(...ready: number[]) {
  return { members: ready, ready, absent: [] as number[], slots: buildMaglev(ready), hashKey: KEY };
}

test("a table is given to the addon at once, and who would take over when that is done, of the newest table alone", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { share, keeper } = keeperOf();
  keeper.become(sharing(1, 2));
  keeper.become({ ...sharing(1, 2), members: [1, 2, 3] });
  assert.equal(share.became.length, 1, "who is no handler changes nothing");
  t.mock.timers.tick(150);
  keeper.become(sharing(1, 2, 3));
  t.mock.timers.tick(150);
  assert.deepEqual(
    share.became.map(({ withoutSelf }) => withoutSelf.length),
    [0, 0],
  );
  t.mock.timers.tick(50);
  const { tables, withoutSelf } = share.became[2] ?? assert.fail();
  assert.deepEqual([...new Set(tables.slots)].sort(), [1, 2, 3]);
  assert.deepEqual([...(tables.hashKey ?? [])], [...KEY]);
  assert.deepEqual([...new Set(withoutSelf)].sort(), [2, 3]);
});

test("alone, or without a key, there is nobody to tell", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { share, keeper } = keeperOf();
  keeper.become(sharing(1));
  t.mock.timers.tick(200);
  assert.deepEqual(
    share.became.map(({ withoutSelf }) => withoutSelf.length),
    [0, 0],
  );
  keeper.become({ ...sharing(1, 2), hashKey: undefined });
  assert.equal(share.became[2]?.tables.slots.length, 0);
  keeper.close();
  t.mock.timers.tick(200);
  assert.equal(share.became.length, 3);
});

test("records go out until nothing waits, each kind as such; what is not delivered is counted", async () => {
  const sent: [number, number[]][] = [];
  const { share, keeper } = keeperOf(async (node, bytes) => {
    sent.push([node, [...bytes]]);
    if (node === 3) throw new Error("gone");
  });
  share.waiting = [
    [
      { node: 2, purpose: "copy", records: Buffer.of(5) },
      { node: 3, purpose: "move", records: Buffer.of(6) },
    ],
    [{ node: 2, purpose: "taken", records: Buffer.of(8) }],
  ];
  share.onWaiting();
  share.onWaiting();
  while (sent.length < 3) await turn();
  assert.deepEqual(sent, [
    [2, [1, 5]],
    [3, [5, 6]],
    [2, [6, 8]],
  ]);
  await turn();
  assert.equal(keeper.figures.undelivered, 1);
  assert.equal(keeper.figures.told, 3);
});

test("what others send is for the addon, unless it is of a kind that this version does not know, or the keeper is closed", () => {
  const { share, keeper, warned } = keeperOf();
  keeper.receive(2, Uint8Array.of(1, 9, 9));
  assert.deepEqual(
    share.received.map(({ from, purpose, records }) => [from, purpose, ...records]),
    [[2, "copy", 9, 9]],
  );
  keeper.receive(2, Uint8Array.of(77, 1));
  keeper.receive(2, new Uint8Array(0));
  assert.equal(warned.length, 2);
  keeper.close();
  assert.ok(share.isClosed);
  keeper.receive(2, Uint8Array.of(1, 9));
  assert.equal(share.received.length, 1);
});

test("a node that takes its deliveries slowly holds up nobody else's, and what is too much for it is not kept", async () => {
  const sent: number[] = [];
  const { share, keeper } = keeperOf((node) => {
    sent.push(node);
    return node === 3 ? new Promise(() => {}) : Promise.resolve();
  });
  const both = [
    { node: 3, purpose: "copy", records: Buffer.of(1) },
    { node: 2, purpose: "copy", records: Buffer.of(1) },
  ] as const;
  share.waiting = Array.from({ length: 20 }, () => [...both]);
  share.onWaiting();
  while (sent.filter((node) => node === 2).length < 20) await turn();
  assert.equal(sent.filter((node) => node === 3).length, 16);
  assert.equal(keeper.figures.undelivered, 4);
});

test("who is back from an absence is told all anew; where flows are assigned, so is everybody when a member comes or goes", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { share, keeper } = keeperOf();
  keeper.become({ ...sharing(1, 2), absent: [2] });
  keeper.become(sharing(1, 2));
  assert.equal(share.became.length, 2);
  const assigned = keeperOf(undefined, 7);
  assigned.keeper.become(sharing(1, 2));
  assigned.keeper.become({ ...sharing(1, 2), members: [1, 2, 3] });
  assert.equal(assigned.share.became.length, 2);
});
