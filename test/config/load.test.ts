// A configuration file that can be read is resolved with all defaults; one that cannot be read is refused.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { loadConfig, loadStateDir } from "../../lib/config/load.js";
import { DEFAULTS } from "../../lib/config/options.js";
import { refusal } from "./refusal.js";
import { SAMPLE, SAMPLE_KEY, withConfig } from "./sample.js";

describe("a correct configuration", () => {
  test("is resolved with all defaults", () => {
    withConfig(SAMPLE, (file, folder) => {
      const config = loadConfig(file);
      assert.equal(config.file, file);
      assert.equal(config.node.name, "gw1");
      assert.deepEqual(
        config.clusterKeys.map((key) => Buffer.from(key).toString("hex")),
        [SAMPLE_KEY],
      );
      assert.deepEqual(config.quorum, { policy: "available" });
      assert.equal(config.rejoin, true);
      assert.equal(config.failoverTarget_ms, DEFAULTS.failoverTarget_ms);
      assert.ok(config.timers.bound_ms <= DEFAULTS.failoverTarget_ms);
      assert.deepEqual(config.ring, { segments: ["internal", "external"], port: 7911 });
      assert.equal(config.stateDir, "/run/rainfront");
      assert.equal(config.logLevel, "info");
      assert.equal(config.backend, "auto");
      assert.deepEqual(config.segments.external, {
        name: "external",
        interface: "ext0",
        subnet: "192.0.2.0/24",
        prefixLength: 24,
      });
      assert.deepEqual(config.vips, [
        { address: "192.0.2.101", segment: "external", preferredHost: 1, persistence: 0 },
        { address: "10.77.0.101", segment: "internal", preferredHost: 0, persistence: 1 },
      ]);
      assert.ok(folder.length > 0);
    });
  });

  test("gives every node the same weight, but those that it says another one of", () => {
    withConfig(SAMPLE.replace("{ id: 2, ", "{ id: 2, weight: 3, "), (file) => {
      assert.deepEqual(
        loadConfig(file).nodes.map(({ weight }) => weight),
        [1, 3],
      );
    });
  });

  test("may leave out which node this is, when the caller says it", () => {
    withConfig(SAMPLE.replace("node: 1\n", ""), (file) => {
      assert.equal(loadConfig(file, { node: 2 }).node.name, "gw2");
    });
  });

  test("is overridden by the caller's choice of node", () => {
    withConfig(SAMPLE, (file) => assert.equal(loadConfig(file, { node: 2 }).node.id, 2));
  });

  test("lists nodes by ascending id whatever their order in the file", () => {
    const swapped = SAMPLE.replace("id: 1,", "id: 9,")
      .replace("node: 1", "node: 9")
      .replace("preferredHost: 1", "preferredHost: 9");
    withConfig(swapped, (file) => {
      const ids = loadConfig(file).nodes.map((node) => node.id);
      assert.deepEqual(ids, [2, 9]);
    });
  });

  test("may give a part of the ring's settings", () => {
    withConfig(`${SAMPLE}ring: { port: 8000 }\n`, (file) => {
      assert.deepEqual(loadConfig(file).ring, { segments: ["internal", "external"], port: 8000 });
    });
  });

  test("takes paths relative to the file", () => {
    withConfig(`${SAMPLE}stateDir: state\n`, (file, folder) => {
      assert.equal(loadConfig(file).stateDir, join(folder, "state"));
    });
  });

  test("tells its state folder without the key and without the node", () => {
    withConfig(`${SAMPLE.replace("node: 1\n", "")}stateDir: /run/other\n`, (file, folder) => {
      rmSync(join(folder, "cluster.key"));
      assert.equal(loadStateDir(file), "/run/other");
    });
  });
});

test("IPv6 networks and VIPs come out in one spelling, whichever they were written in", () => {
  const yaml = SAMPLE.replace("192.0.2.0/24 }", "192.0.2.0/24, subnet6: '2001:0DB8:1::/64' }");
  withConfig(`${yaml}  - { address: '2001:DB8:1:0:0::0A', segment: external }\n`, (file) => {
    const { segments, vips } = loadConfig(file);
    assert.equal(segments.external.subnet6, "2001:db8:1::/64");
    assert.equal(segments.internal.subnet6, undefined);
    assert.deepEqual(
      vips.map(({ address }) => address),
      ["192.0.2.101", "10.77.0.101", "2001:db8:1::a"],
    );
  });
});

test("with quorum majority, the tie-breaker is the lowest id unless another is named", () => {
  const quorumOf = (yaml: string) => withConfig(yaml, (file) => loadConfig(file).quorum);
  assert.deepEqual(quorumOf(`${SAMPLE}quorum: majority\n`), { policy: "majority", tieBreaker: 1 });
  assert.deepEqual(quorumOf(`${SAMPLE}quorum: majority\ntieBreaker: 2\n`), { policy: "majority", tieBreaker: 2 });
});

describe("a configuration file that cannot be read is refused when", () => {
  test("it does not exist", () => {
    const error = refusal(() => loadConfig("/nonexistent/gw.yaml"));
    assert.equal(error.code, "RF_CONFIG_FILE");
    assert.match(error.message, /^\/nonexistent\/gw\.yaml: cannot be read/);
  });

  test("it is a folder", () => {
    assert.equal(refusal(() => loadConfig("/")).code, "RF_CONFIG_FILE");
  });

  test("it never ends", () => {
    assert.equal(refusal(() => loadConfig("/dev/zero")).code, "RF_CONFIG_FILE");
  });
});
