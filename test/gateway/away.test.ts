// A daemon that goes away by agreement, and the one that comes after it: what the other gateway sees of it, and what refuses it.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { callControl } from "../../lib/api/controlClient.js";
import { Machine, obstacle, xdpObstacle } from "./machine.js";

const SERVES = /"ready":\[1\]/;
const BOTH_SERVE = /"ready":\[(1,2|2,1)\]/;
const GOES_ON = /goes on with what an earlier daemon had installed/;
const FOR_MS = 60_000;

async function ownersBy(machine: Machine): Promise<readonly (readonly [address: string, node: number])[]> {
  const { vips } = await callControl(machine.socket(), "status", {});
  return vips.map(({ address, currentHost }) => [address, currentHost]);
}

describe("a gateway that is away", { skip: obstacle() ?? xdpObstacle() ?? false }, () => {
  let first: Machine;
  let second: Machine;
  beforeEach(async () => {
    [first, second] = await Machine.pair();
  });
  afterEach(async () => {
    await second.remove();
    await first.remove();
  });

  it("keeps its VIPs and its programs, and goes on with them when it is back", async () => {
    const daemons = [first, second].map((machine) => machine.up({ backend: "xdp" }));
    await Promise.all(daemons.map((daemon) => daemon.says(BOTH_SERVE)));
    const owners = await ownersBy(second);
    assert.ok(
      owners.some(([, node]) => node === 1),
      "it has a VIP to keep",
    );

    await callControl(first.socket(), "away", { for_ms: FOR_MS });
    assert.deepEqual(await daemons[0]?.end(), { status: 0, printed: [] });
    assert.deepEqual(first.programs(), { ext0: "rf_xdp", int0: "rf_xdp" });
    assert.deepEqual(await ownersBy(second), owners);
    const [kept = ""] = owners.find(([, node]) => node === 1) ?? [];
    assert.ok(second.pings(kept), "what it has is answered for and handled, without a daemon");

    const next = first.up({ backend: "xdp" });
    await next.says(GOES_ON);
    await next.says(BOTH_SERVE);
    assert.deepEqual(await ownersBy(first), owners);
    assert.ok(second.pings(kept));
  });

  it("serves on when the next start fails, and the one after that goes on", async () => {
    const daemons = [first, second].map((machine) => machine.up({ backend: "xdp" }));
    await Promise.all(daemons.map((daemon) => daemon.says(BOTH_SERVE)));
    const owners = await ownersBy(second);
    const [kept = ""] = owners.find(([, node]) => node === 1) ?? [];
    await callControl(first.socket(), "away", { for_ms: FOR_MS });
    await daemons[0]?.end();

    const arpIgnore = first.sysctl("all/arp_ignore");
    first.sysctl("all/arp_ignore", "3");
    const refused = await first.up({ backend: "xdp" }).end();
    assert.equal(refused.status, 1);
    assert.match(refused.printed.join("\n"), /^rainfront: RF_ARP_IGNORE: /);
    assert.ok(second.pings(kept), "it is answered for and handled, though nothing could start");

    first.sysctl("all/arp_ignore", arpIgnore);
    const next = first.up({ backend: "xdp" });
    await next.says(GOES_ON);
    await next.says(BOTH_SERVE);
    assert.deepEqual(await ownersBy(first), owners);
  });

  it("is not torn down by the way", async () => {
    const daemons = [first, second].map((machine) => machine.up({ backend: "xdp" }));
    await Promise.all(daemons.map((daemon) => daemon.says(BOTH_SERVE)));
    await callControl(first.socket(), "away", { for_ms: FOR_MS });
    await daemons[0]?.end();
    const refused = first.down({ backend: "xdp" });
    assert.match(refused.printed, /^rainfront: RF_AWAY: .* serves for \d+ s more \(fix: .*--force/);
    assert.equal(refused.status, 1);

    assert.match(first.down({ backend: "xdp", force: true }).printed, /what one had left is removed/);
    assert.deepEqual(first.programs(), {});
  });

  it("is not, where the others would not be told or its data plane would not go on", async () => {
    for (const backend of ["xdp", "af_packet"] as const) {
      const daemon = first.up({ backend });
      await daemon.says(SERVES);
      await assert.rejects(callControl(first.socket(), "away", { for_ms: FOR_MS }), { code: "RF_AWAY_REFUSED" });
      const { lease, vips } = await callControl(first.socket(), "status", {});
      assert.ok(lease.valid && vips.every(({ answering }) => answering), "it serves on");
      await callControl(first.socket(), "down", {});
      assert.deepEqual(await daemon.end(), { status: 0, printed: [] });
    }
  });
});
