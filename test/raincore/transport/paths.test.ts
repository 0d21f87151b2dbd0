// Which path a packet takes, and what a dead one costs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Net, patterned, timers } from "./net.js";

const FAIL_MS = timers.handOverFail_ms;

/** Sends a small token to node 2 every 30 ms. */
function handOvers(net: Net, from: ReturnType<Net["node"]>, count: number): void {
  for (let round = 0; round < count; round++) {
    from.transport.send(net.now_ms, 2, patterned(3000, round), { priority: "token", fail_ms: FAIL_MS });
    net.run(30);
  }
}

function pathOf(node: ReturnType<Net["node"]>, path: number) {
  const found = node.transport.pathsStatus().find((status) => status.nodeId === 2 && status.path === path);
  assert.ok(found !== undefined);
  return found;
}

test("in peace one path carries everything, and the other is tried about once a second", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  handOvers(net, a, 200);
  assert.equal(b.arrivals.length, 200);
  assert.equal(net.carried["1>2/0"], 600);
  const tried = net.carried["1>2/1"] ?? 0;
  assert.ok(tried >= 5 && tried <= 7, `${tried}`);
  for (const path of [0, 1]) {
    const { isUp, failures, roundTrip_ms } = pathOf(a, path);
    assert.deepEqual([isUp, failures], [true, 0]);
    assert.ok(roundTrip_ms !== undefined && roundTrip_ms > 0.1 && roundTrip_ms < 1, `${roundTrip_ms}`);
  }
});

test("when the best path dies, one timeout is lost; then the other path is the best, and the dead one costs a packet a second", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  handOvers(net, a, 10);
  net.drop = (_from, _to, path) => path === 0;
  const died_ms = net.now_ms;
  handOvers(net, a, 1);
  assert.ok((b.arrivals[10]?.at_ms ?? 0) - died_ms < timers.unit_ms + 1);
  handOvers(net, a, 100);
  assert.deepEqual([pathOf(a, 0).isUp, pathOf(a, 1).isUp], [false, true]);
  const before = { ...net.carried };
  handOvers(net, a, 200);
  const onDead = (net.carried["1>2/0"] ?? 0) - (before["1>2/0"] ?? 0);
  assert.ok(onDead >= 5 && onDead <= 7, `${onDead} packets over the dead path in 6 s`);
  assert.equal((net.carried["1>2/1"] ?? 0) - (before["1>2/1"] ?? 0), 600);
  const resent = a.counters.transport_resent ?? 0;
  assert.ok(resent <= 3, `${resent} parts were sent again in all`);
  assert.equal(b.arrivals.length, 311);
});

test("a path is up again with its first answer", () => {
  const net = new Net();
  const a = net.node(1);
  net.node(2);
  handOvers(net, a, 10);
  net.drop = (_from, _to, path) => path === 1;
  handOvers(net, a, 150);
  assert.equal(pathOf(a, 1).isUp, false);
  net.drop = () => false;
  const mended_ms = net.now_ms;
  while (!pathOf(a, 1).isUp && net.now_ms - mended_ms < 5000) handOvers(net, a, 1);
  assert.ok(net.now_ms - mended_ms <= 1100, `${net.now_ms - mended_ms} ms`);
  assert.deepEqual([a.counters.path_down, a.counters.path_up], [1, 1]);
});

test("a path of which only the way back is cut is as good as dead", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  handOvers(net, a, 10);
  net.drop = (from, _to, path) => from === 2 && path === 0;
  handOvers(net, a, 150);
  assert.equal(pathOf(a, 0).isUp, false);
  assert.equal(b.arrivals.length, 160);
});

test("a dead peer puts no path down: nothing else answered", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  handOvers(net, a, 5);
  net.drop = () => true;
  handOvers(net, a, 50);
  assert.deepEqual([pathOf(a, 0).isUp, pathOf(a, 1).isUp], [true, true]);
  net.drop = () => false;
  handOvers(net, a, 1);
  assert.equal(b.arrivals.at(-1)?.bytes.length, 3000);
});

test("when the only path that is up dies while the other came back unnoticed, a token still gets through in time", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  net.drop = (_from, _to, path) => path === 0;
  handOvers(net, a, 200);
  assert.equal(pathOf(a, 0).isUp, false);
  net.drop = (_from, _to, path) => path === 1;
  const before = b.arrivals.length;
  const start_ms = net.now_ms;
  handOvers(net, a, 1);
  assert.equal(b.arrivals.length, before + 1);
  assert.ok((b.arrivals.at(-1)?.at_ms ?? 0) - start_ms < FAIL_MS);
});

test("a path that is slower by far is left for the faster one", () => {
  const net = new Net();
  const a = net.node(1);
  net.node(2);
  net.queue_ms = (_from, _to, path) => (path === 0 ? 1.5 : 0);
  handOvers(net, a, 400);
  const before = net.carried["1>2/0"] ?? 0;
  handOvers(net, a, 30);
  assert.ok((net.carried["1>2/0"] ?? 0) - before <= 2);
});

test("bulk moves to the other path when its own dies on the way", () => {
  const net = new Net();
  const [a, b] = [net.node(1), net.node(2)];
  const message = patterned(8_000_000, 1);
  a.transport.send(net.now_ms, 2, message, { priority: "bulk" });
  net.run(5);
  net.drop = (_from, _to, path) => path === 0;
  const died_ms = net.now_ms;
  net.run(10_000, () => a.outcomes.length > 0);
  assert.equal(a.outcomes[0]?.delivered, true);
  assert.equal(Buffer.compare(b.arrivals[0]?.bytes ?? new Uint8Array(0), message), 0);
  assert.ok(net.now_ms - died_ms < 500, `${net.now_ms - died_ms} ms`);
});
