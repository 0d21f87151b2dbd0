// What the simulator's flows promise of themselves, and the model of a firewall that they rest on. The seeds that prove the rules are run by `npm run sim -- --flows`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runScenario } from "../run.js";
import { drawScenario } from "../swarm.js";
import { Firewall } from "./firewall.js";
import { type Ends, flowPacketOf, originalName, type Packet, replyName } from "./packet.js";

const ENDS: Ends = {
  id: 7,
  protocol: "tcp",
  client: { address: "10.77.1.5", port: 40_000 },
  shownServer: { address: "198.51.100.9", port: 80 },
  server: { address: "198.51.100.9", port: 80 },
  shownClient: { address: "192.0.2.101", port: 40_000 },
  vips: { client: "10.77.0.101", server: "192.0.2.101" },
};

function packet(sentBy: Packet["sentBy"], flags: Packet["flags"], ends = ENDS): Packet {
  const [from, to] = sentBy === "client" ? [ends.client, ends.shownServer] : [ends.server, ends.shownClient];
  return { number: 1, ends, sentBy, flags, from, to, turn: 1, isAnswer: false };
}

test("connections meet at one node each, some go on at another one, and packets take all ways there are", () => {
  const done = new Map<string, number>();
  for (let seed = 200_001; seed <= 200_008; seed++) {
    const { verdict, what, work } = runScenario(drawScenario(seed, { mode: "both", flows: true }));
    assert.equal(verdict, "ok", `seed ${seed}: ${what}`);
    for (const [name, count] of Object.entries(work)) done.set(name, (done.get(name) ?? 0) + count);
  }
  // What never happens is not proven by any number of seeds.
  for (const name of ["flows_lived_through", "flows_taken_over", "flows_tried", "packets_parked", "relays_2"])
    assert.ok((done.get(name) ?? 0) > 0, name);
});

test("the same seed gives the same trace, and what is drawn without flows is the same with them", () => {
  const drawn = drawScenario(7, { mode: "both", flows: true });
  assert.equal(runScenario(drawn).hash, runScenario(drawn).hash);
  const { flows: _, vips, faults, ...rest } = drawn;
  const { vips: fewerVips, faults: allFaults, ...without } = drawScenario(7, { mode: "both" });
  assert.deepEqual(rest, without);
  assert.deepEqual(vips.slice(0, fewerVips.length), fewerVips);
  assert.deepEqual(
    faults,
    allFaults.filter(({ kind }) => kind !== "away"),
  );
});

test("a firewall lets a connection through that it has seen the first packet of, in both directions", () => {
  const firewall = new Firewall();
  assert.equal(firewall.process(packet("server", "SA")), undefined);
  assert.equal(firewall.process(packet("client", "A")), undefined);
  const out = firewall.process(packet("client", "S"));
  assert.deepEqual([out?.from, out?.to], [ENDS.shownClient, ENDS.server]);
  assert.equal(firewall.process(packet("client", "A")), undefined);
  const answer = firewall.process(packet("server", "SA"));
  assert.deepEqual([answer?.from, answer?.to], [ENDS.shownServer, ENDS.client]);
  assert.ok(firewall.process(packet("client", "A")));
  assert.equal(firewall.assured().length, 1);
});

test("a firewall finds a connection by each of its flows until both sides have closed it, and another machine's as its own", () => {
  const news: boolean[] = [];
  const firewall = new Firewall();
  firewall.onNews = ({ closed }) => news.push(closed.size === 2);
  for (const [sentBy, flags] of [
    ["client", "S"],
    ["server", "SA"],
    ["client", "A"],
    ["client", "FA"],
  ] as const)
    firewall.process(packet(sentBy, flags));
  assert.ok(firewall.find(originalName(ENDS)));
  assert.ok(firewall.find(replyName(ENDS)));
  firewall.process(packet("server", "FA"));
  assert.equal(firewall.find(replyName(ENDS)), undefined);
  assert.deepEqual(news, [false, true]);
  const other = { ...ENDS, id: 8 };
  firewall.inject(other);
  assert.ok(firewall.process(packet("server", "A", other)));
  assert.equal(firewall.process(packet("server", "A")), undefined);
});

test("both directions of a flow have one name, and a translated connection has two flows", () => {
  const there = flowPacketOf(packet("client", "S"));
  const back = flowPacketOf({ ...packet("client", "S"), from: ENDS.shownServer, to: ENDS.client });
  assert.equal(there.name, back.name);
  assert.notEqual(there.isFromLow, back.isFromLow);
  assert.equal(there.isOpening, true);
  assert.notEqual(flowPacketOf(packet("server", "SA")).name, there.name);
});
