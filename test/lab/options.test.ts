import assert from "node:assert/strict";
import { test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { parseOrder } from "../../lib/lab/options.js";

function refused(argv: readonly string[]): RegExp | undefined {
  try {
    parseOrder(argv);
  } catch (error) {
    assert.ok(error instanceof RainfrontError);
    assert.equal(error.code, "RF_USAGE");
    return new RegExp(error.message.replace(/[^\w ]/g, "."));
  }
  return undefined;
}

test("without arguments it is the live lab with three gateways and three servers", () => {
  assert.deepEqual(parseOrder([]), {
    mode: "live",
    settings: { nodes: 3, servers: 3, failoverTarget_ms: 250, backend: "af_packet" },
  });
});

test("a scenario takes its size, rounds and form from the options", () => {
  const order = parseOrder(["failover", "--nodes", "5", "--rounds", "20", "--target", "500", "--json"]);
  assert.ok(order.mode === "scenario");
  assert.deepEqual([order.scenario, order.settings.nodes, order.options.rounds, order.json], ["failover", 5, 20, true]);
  assert.equal(order.settings.failoverTarget_ms, 500);
});

test("pause alone is a scenario, pause with a gateway is a command to the running lab", () => {
  assert.equal(parseOrder(["pause"]).mode, "scenario");
  assert.deepEqual(parseOrder(["pause", "gw2"]), { mode: "remote", command: { do: "pause", node: "gw2" } });
});

test("what follows exec's host is the command, with all its options", () => {
  const command = { do: "exec", host: "gw1", argv: ["ip", "-br", "addr"] };
  assert.deepEqual(parseOrder(["exec", "gw1", "--", "ip", "-br", "addr"]), { mode: "remote", command });
  assert.deepEqual(parseOrder(["exec", "gw1", "ip", "-br", "addr"]), { mode: "remote", command });
});

test("mistakes are refused as usage errors", () => {
  const mistakes = [
    ["bogus"],
    ["kill", "gw1", "gw2"],
    ["stop", "gw1"],
    ["--nodes", "0"],
    ["--nodes", "17"],
    ["--nodes", "two"],
    ["failover", "--rounds", "-1"],
    ["--backend", "xdp"],
    ["--frobnicate"],
    ["exec", "gw1"],
  ];
  for (const argv of mistakes) assert.ok(refused(argv), argv.join(" "));
});
