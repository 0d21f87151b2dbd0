import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS } from "../../lib/config/options.js";
import { RainfrontError } from "../../lib/errors.js";
import { HELP, parseOrder, SCENARIO_NAMES } from "../../lib/lab/options.js";

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
    settings: {
      nodes: 3,
      servers: 3,
      failoverTarget_ms: DEFAULTS.failoverTarget_ms,
      backend: "af_packet",
      families: [4],
      keepConnections: false,
      assignment: "authority",
      stickiness: "none",
    },
  });
});

test("a scenario takes its size, rounds and form from the options", () => {
  const order = parseOrder(["failover", "--nodes", "5", "--rounds", "20", "--target", "500", "--json"]);
  assert.ok(order.mode === "scenario");
  assert.deepEqual([order.scenario, order.settings.nodes, order.options.rounds, order.json], ["failover", 5, 20, true]);
  assert.equal(order.settings.failoverTarget_ms, 500);
});

test("a partition has five gateways unless another number is asked for, and both policies", () => {
  const order = parseOrder(["partition"]);
  assert.ok(order.mode === "scenario");
  assert.equal(order.settings.nodes, 5);
  assert.equal(order.options.policy, "both");
  const smaller = parseOrder(["partition", "--nodes", "4", "--policy", "majority"]);
  assert.ok(smaller.mode === "scenario");
  assert.deepEqual([smaller.settings.nodes, smaller.options.policy], [4, "majority"]);
});

test("the families of what is carried are chosen, where the promise is of both", () => {
  for (const [name, families] of [
    ["4", [4]],
    ["6", [6]],
    ["both", [4, 6]],
  ] as const) {
    const order = parseOrder(["traffic", "--family", name]);
    assert.ok(order.mode === "scenario");
    assert.deepEqual(order.settings.families, families);
  }
  assert.ok(refused(["traffic", "--family", "5"]));
  assert.equal(refused(["partition", "--family", "both"]), undefined);
});

test("a peer can be left out, and a phase be short", () => {
  const order = parseOrder(["stress", "--peer", "none", "--seconds", "10"]);
  assert.ok(order.mode === "scenario");
  assert.deepEqual([order.options.peer, order.options.seconds], ["none", 10]);
});

test("translations are chosen one by one or all, and what changes a flow's key needs nodes that assign flows", () => {
  const nats = (argv: readonly string[]) => {
    const order = parseOrder(["symmetry", ...argv]);
    assert.ok(order.mode === "scenario");
    return order.options.nats;
  };
  assert.deepEqual(nats([]), ["none"]);
  assert.deepEqual(nats(["--nat", "masquerade"]), ["masquerade"]);
  assert.deepEqual(nats(["--nat", "all", "--assignment", "balanced"]), ["none", "masquerade", "dnat", "snat", "ports"]);
  assert.deepEqual(nats(["--nat", "snat", "--backend", "none"]), ["snat"]);
  for (const nat of ["snat", "dnat", "all"]) {
    assert.throws(() => nats(["--nat", nat]), {
      code: "RF_USAGE",
      message: /--nat \w+/,
      fix: /--assignment receiver/,
    });
  }
});

test("FTP has fewer connections, and nodes that keep those of one client together", () => {
  const order = parseOrder(["symmetry", "--ftp", "--assignment", "receiver"]);
  assert.ok(order.mode === "scenario");
  assert.deepEqual([order.options.ftp, order.options.connections, order.settings.stickiness], [true, 1000, "client"]);
  assert.throws(() => parseOrder(["symmetry", "--ftp"]), { code: "RF_USAGE", fix: /--assignment receiver/ });
});

test("the help tells of every scenario and every option", () => {
  for (const name of SCENARIO_NAMES) assert.match(HELP, new RegExp(`^  ${name} `, "m"));
  const options = [
    "nodes",
    "servers",
    "target",
    "backend",
    "family",
    "rounds",
    "connections",
    "policy",
    "peer",
    "nat",
    "ftp",
    "seconds",
    "json",
    "help",
  ];
  for (const option of options) assert.match(HELP, new RegExp(`^  --${option}\\b`, "m"));
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
    ["--backend", "dpdk"],
    ["partition", "--policy", "minority"],
    ["failover", "--peer", "corosync"],
    ["symmetry", "--nat", "nat64"],
    ["stress", "--seconds", "0"],
    ["--frobnicate"],
    ["exec", "gw1"],
  ];
  for (const argv of mistakes) assert.ok(refused(argv), argv.join(" "));
});
