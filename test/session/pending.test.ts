// A program that asks for more than its ring takes: refused before anything is copied, and told when it may go on.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { completeOptions } from "../../lib/session/options.js";
import { PendingRequests, type Waiter } from "../../lib/session/pending.js";
import type { SessionEvent } from "../../lib/session/protocol.js";
import { RingThread } from "../../lib/session/ringThread.js";
import { SendWindow } from "../../lib/session/sendWindow.js";
import { Cluster, reservePort } from "./cluster.js";

const MIB = 1024 * 1024;
const codeOf = (error: unknown): string => (error instanceof RainfrontError ? error.code : String(error));
const NOBODY: Waiter = { resolve: () => {}, reject: () => {} };

test("a window takes what fits, and tells once that half of it is free after it has refused", () => {
  const window = new SendWindow({ bytes_max: 100, messages_max: 4 });
  assert.ok(window.open(60) && window.open(40));
  assert.equal(window.settle(40), false, "nobody was refused");
  assert.ok(!window.open(41) && window.open(40));
  assert.deepEqual([window.bytes, window.messages], [100, 2]);
  assert.equal(window.settle(40), false, "60 of 100 are more than half");
  assert.equal(window.settle(60), true);
  for (let n = 0; n < 4; n++) assert.ok(window.open(0));
  assert.ok(!window.open(0), "as many messages as it may have");
  assert.deepEqual(
    [1, 2].map(() => window.settle(0)),
    [false, true],
  );
  assert.deepEqual(
    [1, 2].map(() => window.settle(0)),
    [false, false],
    "told once",
  );
});

test("each kind of request has a limit and a code of its own, and room again when one is settled", () => {
  let drains = 0;
  const pending = new PendingRequests(10 * MIB, () => {
    drains += 1;
  });
  let id = 0;
  const open = (kind: "multicast" | "send" | "request", bytes: number) => pending.open(++id, kind, bytes, NOBODY)?.code;
  assert.deepEqual([open("multicast", 10 * MIB), open("multicast", 1)], [undefined, "RF_MULTICAST_FULL"]);
  for (let n = 0; n < 4; n++) assert.equal(open("send", 16 * MIB), undefined);
  assert.equal(open("send", 1), "RF_SEND_FULL");
  assert.deepEqual([pending.multicastBytes, pending.sendBytes], [10 * MIB, 64 * MIB]);
  const requests = id;
  for (let n = 0; n < 16_384; n++) assert.equal(open("request", 0), undefined);
  assert.equal(open("request", 0), "RF_REQUESTS_FULL");
  pending.resolve(requests + 1, "an answer");
  assert.equal(open("request", 0), undefined);
  assert.equal(drains, 0);
  pending.reject(1, new Error("lost"));
  assert.equal(drains, 1);
  // What was refused takes no room, and settling twice gives none.
  for (const twice of [3, 4, 4, 4]) pending.resolve(twice, undefined);
  assert.deepEqual([pending.sendBytes, drains], [32 * MIB, 2]);
});

test("who waits is told also when a listener of the event throws", () => {
  const pending = new PendingRequests(1, () => {
    throw new Error("of the listener");
  });
  let result: unknown;
  const waiter: Waiter = {
    resolve: (value) => {
      result = value;
    },
    reject: assert.fail,
  };
  pending.open(1, "multicast", 1, waiter);
  pending.open(2, "multicast", 1, NOBODY);
  assert.throws(() => pending.resolve(1, "delivered"), /of the listener/);
  assert.equal(result, "delivered");
});

test("400 MiB of direct messages in one turn are refused but for 64 MiB", { timeout: 60_000 }, async () => {
  const cluster = await Cluster.of(2);
  try {
    const node = await cluster.start(1);
    const message = new Uint8Array(4 * MIB);
    const before = process.memoryUsage().arrayBuffers;
    const sent = Array.from({ length: 100 }, () => node.send(2, message).then(() => "", codeOf));
    const copied = process.memoryUsage().arrayBuffers - before;
    assert.equal(node.sendBytes, 64 * MIB);
    assert.ok(copied < 80 * MIB, `${copied} bytes were copied`);
    await node.close();
    const codes = await Promise.all(sent);
    assert.equal(codes.filter((code) => code === "RF_SEND_FULL").length, 84);
    assert.equal(codes.filter((code) => code === "RF_CLOSED").length, 16);
  } finally {
    await cluster.close();
  }
});

test("direct messages go on when the event says so, and all that were taken arrive", { timeout: 60_000 }, async () => {
  const cluster = await Cluster.of(2);
  try {
    const [node, other] = await cluster.startAll();
    assert.ok(node && other);
    let arrived = 0;
    other.on("direct", () => {
      arrived += 1;
    });
    const drained = once(node, "drain");
    const sent = Array.from({ length: 4_200 }, () => node.send(2, new Uint8Array(1)).then(() => "", codeOf));
    await drained;
    assert.ok(node.sendBytes <= 2_048, `${node.sendBytes} are under way`);
    await node.send(2, new Uint8Array(1));
    const codes = await Promise.all(sent);
    assert.equal(codes.filter((code) => code === "RF_SEND_FULL").length, 4_200 - 4_096);
    assert.equal(codes.filter((code) => code === "").length, 4_096);
    // The last one of many is confirmed before the program over there has been told of it.
    while (arrived < 4_097) await once(other, "direct");
  } finally {
    await cluster.close();
  }
});

test("requests without end are refused with a code", { timeout: 60_000 }, async () => {
  const cluster = await Cluster.of(1);
  try {
    const node = await cluster.start(1);
    const asked = Array.from({ length: 16_400 }, () => node.locks().then(() => "", codeOf));
    const codes = await Promise.all(asked);
    assert.equal(codes.filter((code) => code === "RF_REQUESTS_FULL").length, 16);
    await node.locks();
  } finally {
    await cluster.close();
  }
});

test("a message that the ring's own queue refuses is told to be unsent", { timeout: 60_000 }, async () => {
  const { port, release } = await reservePort();
  const outcomes = new Map<number, string>();
  const waiters: (() => void)[] = [];
  const onEvent = (event: SessionEvent): void => {
    if (event.type !== "settled") return;
    outcomes.set(event.id, event.outcome);
    for (const wake of waiters.splice(0)) wake();
  };
  const options = {
    cluster: "test",
    clusterKey: new Uint8Array(32),
    nodeId: 1,
    addresses: ["127.0.1.1"],
    peers: [{ nodeId: 2, addresses: ["127.0.1.2"] }],
    realtime: "off",
    rehearsal: false,
  } as const;
  // Without the host's window.
  const thread = new RingThread(completeOptions({ ...options, port }), onEvent, () => {});
  for (let id = 1; id <= 4_097; id++) thread.post({ type: "send", id, to: 2, bytes: new Uint8Array(1) });
  while (!outcomes.has(4_097)) await new Promise<void>((resolve) => waiters.push(resolve));
  assert.equal(outcomes.get(4_097), "unsent");
  assert.equal([...outcomes.values()].filter((outcome) => outcome === "unsent").length, 1);
  thread.close();
  await thread.exited;
  release();
});

test("a carriage has a name, and there are 256 of them", { timeout: 60_000 }, async () => {
  const cluster = await Cluster.of(1);
  try {
    const node = await cluster.start(1);
    for (const name of ["", "Upper", "two words", "x".repeat(33), "x".repeat(1 << 20)]) {
      assert.throws(
        () => node.carriage(name),
        (error) => codeOf(error) === "RF_ARGUMENT",
      );
    }
    const names = Array.from({ length: 256 }, (_, n) => `name-${n}`);
    const carriages = names.map((name) => node.carriage(name));
    assert.throws(
      () => node.carriage("one-more"),
      (error) => codeOf(error) === "RF_CARRIAGE_LIMIT",
    );
    assert.equal(node.carriage("name-0"), carriages[0]);
  } finally {
    await cluster.close();
  }
});
