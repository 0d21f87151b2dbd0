// What nodes say to each other of flows, over exchanges that remember keys of 40 bytes by their first one.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLOWS_KIND } from "../../lib/messageKinds.js";
import { answerOfNone, type Exchange, FlowTalk } from "../../lib/steering/flowTalk.js";

const KEY_BYTES = 40;

class FakeExchange implements Exchange {
  questions: number[] = [];
  told: { readonly node: number; readonly flow: number }[] = [];
  readonly handles = new Set<number>();
  readonly learned: number[] = [];
  readonly settled: number[] = [];
  readonly abandoned: number[] = [];
  canSay = true;

  takeQuestions(bytes_max: number): Uint8Array {
    return keysOf(this.questions.splice(0, Math.floor(bytes_max / KEY_BYTES)));
  }
  answer(keys: Uint8Array): Uint8Array | undefined {
    if (!this.canSay) return undefined;
    return Uint8Array.from(flowsOf(keys).filter((flow) => this.handles.has(flow)));
  }
  settle(keys: Uint8Array): void {
    this.settled.push(...flowsOf(keys));
  }
  abandon(keys: Uint8Array): void {
    this.abandoned.push(...flowsOf(keys));
  }
  takeTold(): readonly { readonly node: number; readonly records: Uint8Array }[] {
    return this.told.splice(0).map(({ node, flow }) => ({ node, records: Uint8Array.of(flow) }));
  }
  learn(records: Uint8Array): void {
    this.learned.push(...records);
  }
}

function keysOf(flows: readonly number[]): Uint8Array {
  return Buffer.concat(flows.map((flow) => Buffer.alloc(KEY_BYTES, flow)));
}

function flowsOf(keys: Uint8Array): number[] {
  return Array.from({ length: keys.length / KEY_BYTES }, (_, index) => keys[index * KEY_BYTES] ?? 0);
}

/** Three nodes whose messages wait to be delivered, and whose timers wait to be rung. */
function three() {
  const under: { readonly from: number; readonly to: number; readonly bytes: Uint8Array }[] = [];
  const timers: { readonly delay_ms: number; readonly act: () => void }[] = [];
  const nodes = new Map(
    [1, 2, 3].map((id) => {
      const exchange = new FakeExchange();
      const talk = new FlowTalk({
        exchange,
        send: (to, bytes) => under.push({ from: id, to, bytes }),
        after: (delay_ms, act) => timers.push({ delay_ms, act }),
      });
      talk.become(
        [1, 2, 3].filter((other) => other !== id),
        true,
      );
      return [id, { exchange, talk }] as const;
    }),
  );
  const at = (id: number) => nodes.get(id) ?? assert.fail();
  /** Messages to `lost` are not delivered. */
  const deliver = (lost = 0): void => {
    for (const { from, to, bytes } of under.splice(0)) if (to !== lost) assert.ok(at(to).talk.receive(from, bytes));
  };
  const ring = (): void => {
    for (const { act } of timers.splice(0)) act();
  };
  return { at, deliver, ring, under, timers };
}

describe("nodes that speak of flows", () => {
  it("ask all others, learn from who handles the flow, and settle when all have answered", () => {
    const { at, deliver } = three();
    at(1).exchange.questions = [7, 8];
    at(3).exchange.handles.add(8);
    at(1).talk.wake();
    deliver();
    assert.deepEqual(at(1).exchange.settled, []);
    deliver();
    assert.deepEqual(at(1).exchange.learned, [8]);
    assert.deepEqual(at(1).exchange.settled, [7, 8]);
  });

  it("settle nothing without those that do not answer in time or cannot say, and learn from them all the same", () => {
    const { at, deliver, ring } = three();
    at(1).exchange.questions = [7, 8];
    at(2).exchange.canSay = false;
    at(3).exchange.handles.add(7);
    at(1).talk.wake();
    deliver();
    ring();
    assert.deepEqual([at(1).exchange.settled, at(1).exchange.abandoned], [[], [7, 8]]);
    deliver();
    ring();
    assert.deepEqual([at(1).exchange.settled, at(1).exchange.learned], [[], [7]]);
  });

  it("settle nothing where somebody has come meanwhile who was not asked", () => {
    const { at, deliver } = three();
    at(1).talk.become([2], true);
    at(1).exchange.questions = [7];
    at(1).talk.wake();
    at(1).talk.become([2, 3], true);
    deliver();
    deliver();
    assert.deepEqual([at(1).exchange.settled, at(1).exchange.abandoned], [[], [7]]);
  });

  it("settle nothing while a node is absent, or in no view", () => {
    const { at, deliver, under } = three();
    at(1).exchange.questions = [7];
    at(1).talk.become([2, 3], false);
    at(1).talk.wake();
    deliver();
    deliver();
    at(1).exchange.questions = [8];
    at(1).talk.become(undefined, true);
    at(1).talk.wake();
    assert.deepEqual([at(1).exchange.settled, at(1).exchange.abandoned, under.length], [[], [7, 8], 0]);
  });

  it("settle at once without any others, and without those that leave", () => {
    const { at, deliver } = three();
    at(1).exchange.questions = [7];
    at(1).talk.become([], true);
    at(1).talk.wake();
    assert.deepEqual(at(1).exchange.settled, [7]);
    at(2).exchange.questions = [9];
    at(2).talk.wake();
    deliver(3);
    deliver();
    assert.deepEqual(at(2).exchange.settled, []);
    at(2).talk.become([1], true);
    assert.deepEqual(at(2).exchange.settled, [9]);
  });

  it("have few questions under way, and go on with the rest when those are settled", () => {
    const { at, deliver, under } = three();
    at(1).exchange.questions = Array.from({ length: 256 * 5 }, (_, index) => index % 256);
    at(1).talk.wake();
    at(1).talk.wake();
    assert.equal(under.length, 2 * 4);
    deliver();
    deliver();
    assert.equal(at(1).exchange.settled.length, 256 * 4);
    deliver();
    deliver();
    assert.equal(at(1).exchange.settled.length, 256 * 5);
  });

  it("gather what they tell, until there is no more", () => {
    const { at, deliver, ring, timers, under } = three();
    at(1).exchange.told = [{ node: 2, flow: 5 }];
    at(1).talk.wake();
    at(1).exchange.told.push({ node: 3, flow: 6 }, { node: 9, flow: 6 });
    at(1).talk.wake();
    assert.equal(under.length, 0);
    ring();
    deliver();
    assert.deepEqual([at(2).exchange.learned, at(3).exchange.learned], [[5], [6]]);
    ring();
    assert.deepEqual([timers.length, under.length], [0, 0]);
    at(1).exchange.told = [{ node: 2, flow: 7 }];
    at(1).talk.wake();
    ring();
    deliver();
    assert.deepEqual(at(2).exchange.learned, [5, 7]);
  });

  it("leave other messages to others, and bear those that are cut off", () => {
    const { at } = three();
    const { talk, exchange } = at(1);
    for (const kind of [1, 2, 4]) assert.equal(talk.receive(2, Uint8Array.of(kind, 2, 3)), false);
    assert.equal(talk.receive(2, new Uint8Array(0)), false);
    for (const kind of [FLOWS_KIND.asked, FLOWS_KIND.known])
      for (let length = 1; length < 5; length++)
        assert.equal(talk.receive(2, Uint8Array.of(kind, 0, 0, 0).subarray(0, length)), true);
    assert.deepEqual(exchange.learned, []);
  });

  it("hear from those that remember none that these handle none", () => {
    const { at, under } = three();
    at(1).exchange.questions = [7];
    at(1).talk.wake();
    for (const { to, bytes } of under.splice(0)) {
      const answer = answerOfNone(bytes);
      assert.ok(answer !== undefined && answerOfNone(answer) === undefined);
      at(1).talk.receive(to, answer);
    }
    assert.deepEqual([at(1).exchange.settled, at(1).exchange.learned], [[7], []]);
    assert.equal(answerOfNone(Uint8Array.of(FLOWS_KIND.asked, 0, 0, 0)), undefined);
  });
});
