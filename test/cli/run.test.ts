import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { FlowExplanation, FlowOverview, FlowsParams } from "../../lib/api/flowProtocol.js";
import { run } from "../../lib/cli/run.js";
import { RainfrontError } from "../../lib/errors.js";
import { SAMPLE, withConfig } from "../config/sample.js";
import { STATUS, withDaemon, withFolder } from "./daemon.js";

async function rainfront(...args: string[]) {
  const text = { out: "", err: "" };
  const status = await run(args, {
    out: (more) => {
      text.out += more;
    },
    err: (more) => {
      text.err += more;
    },
    isTerminal: false,
  });
  return { status, ...text };
}

const FLOW = "tcp 192.0.2.7:4444 > 198.51.100.10:80";
const ANSWERS = "tcp 10.77.0.20:80 > 10.77.0.1:1025";
const MAIN = fileURLToPath(new URL("../../lib/cli/main.ts", import.meta.url));

describe("rainfront", () => {
  test("prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    assert.deepEqual(await rainfront("--version"), { status: 0, out: `${version}\n`, err: "" });
  });

  for (const args of [
    ["--help"],
    ["up", "--help"],
    ["doctor", "--help"],
    ["nat-rules", "--help"],
    ["status", "--help"],
    ["move", "--help"],
    ["drain", "--help"],
    ["flows", "--help"],
    ["explain", "--help"],
    ["join", "--help"],
    ["reload-keys", "--help"],
    ["down", "--help"],
    ["away", "--help"],
  ]) {
    test(`prints help with examples for ${args.join(" ")}`, async () => {
      const { status, out, err } = await rainfront(...args);
      assert.equal(status, 0);
      assert.match(out, /Usage: rainfront/);
      assert.match(out, /Examples:\n {2}.*rainfront/);
      assert.equal(err, "");
    });
  }

  const wrong: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [[], /which command/],
    [["fly"], /no command fly/],
    [["up"], /--config/],
    [["up", "--config"], /argument missing/],
    [["up", "--config", "x", "--node", "0"], /1 to 65535/],
    [["up", "--config", "x", "--node", "gw1"], /1 to 65535/],
    [["status", "--jsn"], /unknown option.*--json/],
    [["status", "extra"], /too many arguments/],
    [["move", "192.0.2.101"], /missing required argument 'node'/],
    [["move", "gw2", "192.0.2.101", "--socket", "/nonexistent"], /gw2 is not an address/],
  ];
  for (const [args, says] of wrong) {
    test(`ends with 2 and one line for wrong usage: ${["rainfront", ...args].join(" ")}`, async () => {
      const { status, out, err } = await rainfront(...args);
      assert.equal(status, 2, err);
      assert.equal(out, "");
      assert.match(err, says);
      assert.match(err, /^rainfront: RF_USAGE: .* \(fix: .*\)\n$/);
    });
  }
});

describe("rainfront status", () => {
  test("shows members, VIPs and counters that are not zero", async () => {
    await withDaemon(async ({ socket }) => {
      const { status, out } = await rainfront("status", "--socket", socket);
      assert.equal(status, 0);
      assert.match(out, /cluster front, node 1 \(gw1\): member/);
      assert.match(out, /up 2 min 5 s, pid 4711/);
      assert.match(out, /^quorum available: serves$/m);
      assert.match(out, /^ *2 +gw2 +\d+ +joining +internal 0\.4 ms, external down$/m);
      assert.match(out, /^192\.0\.2\.101 +external +gw1 +gw1 +0 +answering$/m);
      assert.match(out, /^10\.77\.0\.101 +internal +- +- +1$/m);
      assert.match(out, /^external +relayed +12$/m);
      assert.doesNotMatch(out, /drop_truncated/);
    });
  });

  test("prints the whole status as one line of JSON", async () => {
    await withDaemon(async ({ socket }) => {
      const { out } = await rainfront("status", "--socket", socket, "--json");
      assert.deepEqual(JSON.parse(out), STATUS);
      assert.equal(out.trim().split("\n").length, 1);
    });
  });

  test("finds the socket by the configuration file", async () => {
    await withDaemon(async ({ folder }) => {
      const file = join(folder, "gw.yaml");
      writeFileSync(file, `${SAMPLE}stateDir: .\n`);
      assert.equal((await rainfront("status", "--config", file, "--json")).status, 0);
    });
  });

  test("ends with 1 when no daemon runs", async () => {
    const { status, err } = await rainfront("status", "--socket", "/nonexistent/control.sock");
    assert.equal(status, 1);
    assert.match(err, /^rainfront: RF_NOT_RUNNING: .* \(fix: start it with: rainfront up .*\)\n$/);
  });

  test("ends with 1 when the configuration is wrong", async () => {
    const { status, err } = await rainfront("status", "--config", "/nonexistent.yaml");
    assert.equal(status, 1);
    assert.match(err, /^rainfront: RF_CONFIG_FILE: /);
  });

  test("--watch prints again until it is interrupted, and survives a daemon that goes and comes", async () => {
    await withDaemon(async ({ socket }) => {
      const args = ["--import", "tsx", MAIN, "status", "--watch", "--json", "--socket", socket];
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
      let lines = 0;
      for await (const chunk of child.stdout) {
        lines += String(chunk).split("\n").length - 1;
        if (lines === 2) child.kill("SIGINT");
      }
      assert.equal(lines, 2);
      assert.equal(child.exitCode ?? (await once(child, "exit"))[0], 0);
    });
  });
});

describe("rainfront join and reload-keys", () => {
  test("tell the daemon and say what it did", async () => {
    let joins = 0;
    await withDaemon(
      async ({ socket }) => {
        assert.deepEqual(await rainfront("join", "--socket", socket), {
          status: 0,
          out: "asks for a place in the group\n",
          err: "",
        });
        assert.equal((await rainfront("reload-keys", "--socket", socket)).out, "2 keys in force\n");
      },
      { join: () => void joins++ },
    );
    assert.equal(joins, 1);
  });

  test("pass on why the daemon refused", async () => {
    const refuse = () => {
      throw new RainfrontError("RF_CONFIG_KEY_FILE", "cluster.key has mode 0644", {
        fix: "run: chmod 600 cluster.key",
      });
    };
    await withDaemon(
      async ({ socket }) => {
        const { status, err } = await rainfront("reload-keys", "--socket", socket);
        assert.equal(status, 1);
        assert.match(err, /^rainfront: RF_CONFIG_KEY_FILE: .*mode 0644 \(fix: run: chmod 600/);
      },
      { reloadKeys: refuse },
    );
  });
});

describe("rainfront move", () => {
  for (const node of ["gw2", "2"]) {
    test(`takes the node's ${node === "2" ? "id" : "name"}`, async () => {
      await withDaemon(async ({ socket, moves }) => {
        const { status, out } = await rainfront("move", "192.0.2.101", node, "--socket", socket);
        assert.equal(status, 0);
        assert.equal(out, "192.0.2.101 goes to gw2 (node 2)\n");
        assert.deepEqual(moves, [{ vip: "192.0.2.101", node: 2 }]);
      });
    });
  }

  test("refuses a node that is not a member, and lists those that are", async () => {
    await withDaemon(async ({ socket, moves }) => {
      const { status, err } = await rainfront("move", "192.0.2.101", "gw9", "--socket", socket);
      assert.equal(status, 1);
      assert.match(err, /RF_NODE_UNKNOWN: gw9 is not a member.*gw1, gw2/);
      assert.deepEqual(moves, []);
    });
  });
});

describe("rainfront drain", () => {
  test("asks for it and waits until the node has nothing left, or as long as it was told to", async () => {
    const asked: unknown[] = [];
    let looks = 0;
    let kept: { connections?: Record<string, number> } = { connections: { moved: 0 } };
    const handlers = {
      drain: (params: unknown) => void asked.push(params),
      status: () => ({ ...STATUS, ...kept, drains: asked.length === 0 ? [] : [{ node: 2, isDone: ++looks > 1 }] }),
    };
    await withDaemon(async ({ socket }) => {
      const done = await rainfront("drain", "gw2", "--socket", socket);
      assert.equal(done.out, "gw2 (node 2) has nothing left that others could take\n");
      const stopped = await rainfront("drain", "2", "--stop", "--json", "--socket", socket);
      assert.deepEqual(JSON.parse(stopped.out), {
        node: 2,
        isDraining: false,
        isDone: false,
        movesConnections: true,
      });
      assert.deepEqual(asked, [
        { node: 2, isDraining: true },
        { node: 2, isDraining: false },
      ]);
      looks = Number.NEGATIVE_INFINITY;
      const { status, err } = await rainfront("drain", "gw2", "--wait", "0.1", "--socket", socket);
      assert.equal(status, 1);
      assert.match(err, /RF_DRAIN_TIMEOUT: gw2 .*--wait/);
      const askedOnly = await rainfront("drain", "gw2", "--wait", "0", "--socket", socket);
      assert.equal(askedOnly.out, "gw2 (node 2) gives away what it has\n");
      kept = {};
      const alone = await rainfront("drain", "gw2", "--wait", "0", "--socket", socket);
      assert.match(alone.out, /gives away what it has\nwithout keepConnections its open connections are not moved/);
    }, handlers);
  });

  test("refuses a node that is not a member", async () => {
    await withDaemon(async ({ socket }) => {
      const { status, err } = await rainfront("drain", "gw9", "--socket", socket);
      assert.equal(status, 1);
      assert.match(err, /RF_NODE_UNKNOWN/);
    });
  });
});

describe("rainfront flows", () => {
  const known = { epoch: 7, place: "established", life: "stream", isAnswered: true, isGuessed: false } as const;
  const overview: FlowOverview = {
    node: { id: 1, name: "gw1" },
    policy: "receiver",
    names: { 1: "gw1", 2: "gw2" },
    counts: [
      { node: 0, flows: 1 },
      { node: 2, flows: 1200 },
    ],
    flows: [
      { ...known, flow: FLOW, node: 2, isHeld: true, isAlias: false, idle_ms: 1234 },
      { ...known, flow: "icmp 192.0.2.7 > 192.0.2.8 id 7", node: 9, isHeld: false, isAlias: true, idle_ms: 0 },
    ],
  };

  test("lists what the node remembers, all or one node's", async () => {
    const asked: FlowsParams[] = [];
    const flows = async (params: FlowsParams) => {
      asked.push(params);
      return overview;
    };
    await withDaemon(
      async ({ socket }) => {
        const { out } = await rainfront("flows", "--socket", socket);
        assert.match(out, /^gw1 remembers 1201 flows \(assignment: receiver\)\n/);
        assert.match(out, /handled by {2}flows\nnobody {10}1\ngw2 {10}1200\n/);
        const rows = out.split("\n").map((line) => line.split(/ {2,}/));
        assert.deepEqual(rows.slice(-3, -1), [
          [FLOW, "gw2", "stream", "7", "1.2"],
          ["icmp 192.0.2.7 > 192.0.2.8 id 7", "node 9 (gone)", "stream", "7", "0.0", "alias"],
        ]);
        const { out: json } = await rainfront("flows", "--node", "gw2", "--limit", "5", "--json", "--socket", socket);
        assert.deepEqual(JSON.parse(json), overview);
        assert.deepEqual(asked, [{ limit: 100 }, { limit: 0 }, { node: 2, limit: 5 }]);
        const { status, err } = await rainfront("flows", "--node", "gw9", "--socket", socket);
        assert.equal(status, 1);
        assert.match(err, /RF_NODE_UNKNOWN: there is no node gw9 \(fix: give one of gw1, gw2\)/);
      },
      { flows },
    );
  });

  test("says that there are none where the hash decides", async () => {
    const none: FlowOverview = { ...overview, policy: "authority", counts: [], flows: [] };
    await withDaemon(
      async ({ socket }) => {
        const { out } = await rainfront("flows", "--socket", socket);
        assert.match(out, /^no flow is remembered: the hash says/);
      },
      { flows: async () => none },
    );
  });

  for (const limit of ["-1", "10001", "some"]) {
    test(`refuses a limit of ${limit}`, async () => {
      const { status, err } = await rainfront("flows", `--limit=${limit}`);
      assert.equal(status, 2);
      assert.match(err, /RF_USAGE: .*up to 10000/);
    });
  }
});

describe("rainfront explain", () => {
  const nothing = { isReachable: true, knows: null, connection: null, replica: null, trouble: null };
  const knows = {
    node: 2,
    epoch: 7,
    place: "established",
    life: "stream",
    isHeld: true,
    isAnswered: true,
    isAlias: false,
    isGuessed: false,
    idle_ms: 40,
  } as const;
  const connection = { original: FLOW, reply: ANSWERS, state: "established", isAssured: true, timeout_s: 299 };
  const explanation: FlowExplanation = {
    flow: FLOW,
    policy: "receiver",
    epoch: 7,
    slot: 4711,
    authority: 1,
    handler: 2,
    why: "its authority, gw1, says so, as of view 7",
    nodes: [
      { ...nothing, node: 1, name: "gw1", knows, replica: { from: 2, connection } },
      { ...nothing, node: 2, name: "gw2", knows: { ...knows, isAlias: true }, connection, trouble: "no socket" },
      { ...nothing, node: 3, name: "gw3", isReachable: false },
      { ...nothing, node: 4, name: "gw4", knows: { ...knows, node: 9, isHeld: false } },
    ],
    alias: { flow: ANSWERS, isFirst: false, slot: 12, authority: 3, knownBy: [{ node: 2, handler: 2 }] },
    backup: { node: 1, hasReplica: true },
  };
  const text = [
    FLOW,
    "handler    gw2: its authority, gw1, says so, as of view 7",
    "authority  gw1 (slot 4711), in view 7, assignment: receiver",
    `alias      its answers are ${ANSWERS}, whose authority is gw3; known by gw2 (as gw2's)`,
    "backup     gw1 has what its firewall knows",
    "",
    "node  goes by                                        firewall                          copy from",
    "gw1   gw2 (view 7, stream, idle 0.0 s)               -                                 gw2",
    "gw2   gw2 (view 7, stream, alias, idle 0.0 s)        established, assured, 299 s left  -",
    "gw3   did not answer",
    "gw4   node 9, gone (view 7, stream, idle 0.0 s)      -                                 -",
    "",
    "gw2 could not look everywhere: no socket",
    "",
  ];

  test("shows who handles a flow, why, and who knows what of it", async () => {
    const asked: unknown[] = [];
    const explain = async (params: unknown) => {
      asked.push(params);
      return explanation;
    };
    await withDaemon(
      async ({ socket }) => {
        const { out } = await rainfront("explain", ` TCP 192.0.2.7:4444>198.51.100.10:80`, "--socket", socket);
        assert.deepEqual(
          out.split("\n").map((line) => line.replaceAll(/ {2,}/g, "  ")),
          text.map((line) => line.replaceAll(/ {2,}/g, "  ")),
        );
        const { out: json } = await rainfront("explain", FLOW, "--json", "--socket", socket);
        assert.deepEqual(JSON.parse(json), explanation);
        assert.deepEqual(asked, [{ flow: FLOW }, { flow: FLOW }]);
      },
      { explain },
    );
  });

  test("refuses what is no flow before it asks anybody", async () => {
    const { status, err } = await rainfront("explain", "tcp 192.0.2.7 > 192.0.2.8:80", "--socket", "/nowhere");
    assert.equal(status, 2);
    assert.match(err, /RF_USAGE: '192\.0\.2\.7' is no address and port.*write it like 'tcp/);
  });
});

describe("rainfront down", () => {
  test("returns when the daemon's socket is gone", async () => {
    await withDaemon(async (daemon) => {
      const command = rainfront("down", "--socket", daemon.socket);
      await daemon.leaving;
      await daemon.server.close();
      const { status, out } = await command;
      assert.equal(status, 0);
      assert.match(out, new RegExp(`pid ${process.pid}, has left`));
    });
  });
});

describe("rainfront up", () => {
  test("names file, line, path and fix of a wrong configuration, and ends with 1", async () => {
    await withConfig(SAMPLE.replace("192.0.2.101", "192.0.9.101"), (file) => {
      const result = spawnSync(process.execPath, ["--import", "tsx", MAIN, "up", "--config", file], {
        encoding: "utf8",
      });
      assert.equal(result.status, 1);
      assert.equal(result.stdout, "");
      assert.match(
        result.stderr,
        /^rainfront: RF_CONFIG_VIP_OUTSIDE_SEGMENT: .*gw\.yaml:11: vips\[0\]\.address: .* \(fix: .*\)\n$/,
      );
    });
  });
});

test("a command's output may be cut by the reader", async () => {
  await withFolder(async (folder) => {
    const script = `${JSON.stringify(process.execPath)} --import tsx ${JSON.stringify(MAIN)} --help | head -c 1 > ${JSON.stringify(join(folder, "out"))}; exit \${PIPESTATUS[0]}`;
    const result = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    assert.equal(result.stderr, "");
    assert.equal(result.status, 0);
  });
});
