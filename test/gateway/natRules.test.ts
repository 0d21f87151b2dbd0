// The rules that `rainfront nat-rules` prints: what they say, and that nftables takes them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { run } from "../../lib/cli/run.js";
import { loadConfig } from "../../lib/config/load.js";
import { NAT_TABLE, natRules } from "../../lib/gateway/natRules.js";
import { SAMPLE, withConfig } from "../config/sample.js";

const RANGES = `assignment: receiver
portRanges:
  - { address: 192.0.2.101, first: 10000, last: 19999 }
  - { address: 203.0.113.7, first: 2000, last: 2003 }
  - { address: '2001:db8:9::1', first: 30000, last: 30001 }
`;

const rules = (node: number, yaml = SAMPLE + RANGES) =>
  withConfig(yaml, (file) => natRules(loadConfig(file, { node })));

async function print(...args: string[]) {
  const text = { out: "", err: "" };
  const streams = {
    out: (more: string) => {
      text.out += more;
    },
    err: (more: string) => {
      text.err += more;
    },
  };
  const status = await run(["nat-rules", ...args], { ...streams, isTerminal: false });
  return { status, ...text };
}

const nft = (script: string) =>
  spawnSync("unshare", ["-n", "sh", "-c", `${script} && nft list table inet ${NAT_TABLE}`], { encoding: "utf8" });
const why =
  process.getuid?.() !== 0 || nft("nft add table inet rainfront_nat").status !== 0 ? "nft or root is missing" : false;

describe("nat-rules", () => {
  test("gives every node ports of its own", () => {
    assert.match(rules(1), /snat ip to 192\.0\.2\.101:10000-14999$/m);
    assert.match(rules(2), /snat ip to 192\.0\.2\.101:15000-19999$/m);
    assert.match(
      rules(2),
      /jhash ip saddr mod 2 seed 0x1 1 meta l4proto \{ tcp, udp \} snat ip to 203\.0\.113\.7:2002-2003$/m,
    );
    assert.match(rules(2), /meta nfproto ipv6 meta l4proto \{ tcp, udp \} snat ip6 to \[2001:db8:9::1\]:30001-30001$/m);
  });

  test("translates what leaves by the segment's NIC, and nothing of the gateway's own", () => {
    const leaving = rules(1)
      .split("\n")
      .filter((line) => line.includes("snat "));
    assert.equal(leaving.length, 6);
    for (const line of leaving) assert.match(line, /oifname \{ "ext0", "rf-external" \} fib saddr type != local/);
  });

  test("is refused for a NIC whose name nftables would read otherwise", () => {
    const yaml = (SAMPLE + RANGES).replace("ext0", "'ext*'");
    assert.throws(() => rules(1, yaml), { code: "RF_CONFIG_VALUE", fix: /rename the interface/ });
  });

  test("is refused where there are no ranges", () => {
    assert.throws(() => rules(1, SAMPLE), { code: "RF_CONFIG_VALUE", fix: /portRanges/ });
  });

  test("is what nftables takes, twice in a row", { skip: why }, () => {
    const text = rules(1);
    const twice = spawnSync(
      "unshare",
      ["-n", "sh", "-c", "nft -f - <<EOF && nft list ruleset\n" + text + text + "\nEOF"],
      {
        encoding: "utf8",
      },
    );
    assert.equal(twice.status, 0, twice.stderr);
  });

  test("prints them, or an object with the node's ports", async () => {
    await withConfig(SAMPLE + RANGES, async (file) => {
      // The folder is gone once this returns a promise that waits: so at once.
      const [plain, json] = [print("--config", file, "--node", "2"), print("--config", file, "--json")];
      assert.equal((await plain).out, rules(2));
      const { node, ports } = JSON.parse((await json).out);
      assert.equal(node, 1);
      assert.deepEqual(ports[0], { address: "192.0.2.101", first: 10_000, last: 14_999 });
    });
    const refused = await withConfig(SAMPLE, (file) => print("--config", file));
    assert.equal(refused.status, 1);
    assert.match(refused.err, /RF_CONFIG_VALUE: portRanges is missing/);
  });
});
