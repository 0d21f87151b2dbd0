// A gateway with IPv6 VIPs as its neighbour on the segment sees it: the kernel has every VIP, and only the layer shows them.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { callControl } from "../../lib/api/controlClient.js";
import { frontMac } from "../../lib/steering/frontMac.js";
import { Machine, obstacle, xdpObstacle } from "./machine.js";

const SERVES = /"ready":\[1\]/;
const EXTERNAL_VIP = "2001:db8:1::101";
const INTERNAL_VIP = "2001:db8:2::101";
const PATIENCE_MS = 20_000;

const backends = [
  { backend: "af_packet", skip: obstacle() ?? false, holder: "rf-external" },
  { backend: "xdp", skip: obstacle() ?? xdpObstacle() ?? false, holder: "rfx-external" },
] as const;

for (const { backend, skip, holder } of backends) {
  describe(`IPv6 VIPs of a gateway with ${backend}`, { skip }, () => {
    let gateway: Machine;
    let neighbor: Machine;
    beforeEach(async () => {
      [gateway, neighbor] = await Machine.pair();
      for (const [machine, last] of [
        [gateway, 11],
        [neighbor, 12],
      ] as const) {
        machine.ip(
          `address add 2001:db8:1::${last}/64 dev ext0 nodad`,
          `address add 2001:db8:2::${last}/64 dev int0 nodad`,
        );
      }
      neighbor.polls();
    });
    afterEach(async () => {
      await neighbor.remove();
      await gateway.remove();
    });

    /** Asks anew each time; what holds on a machine that is not looked at while it changes. */
    function asks(): { readonly answers: boolean; readonly mac: string | undefined } {
      neighbor.ip("neigh flush all");
      const answers = neighbor.pings(EXTERNAL_VIP);
      return { answers, mac: neighbor.neighborMac(EXTERNAL_VIP) };
    }

    function silentInTime(): void {
      const until_ms = performance.now() + PATIENCE_MS;
      while (asks().mac !== undefined) assert.ok(performance.now() < until_ms, "it is answered for, for ever");
    }

    it("are answered for under the front MAC, though they were written in another spelling", async () => {
      const daemon = gateway.up({ backend, ipv6: true });
      await daemon.says(SERVES);
      const { vips, backend: mode } = await callControl(gateway.socket(), "status", {});
      assert.match(mode, new RegExp(`^${backend}`));
      const six = vips.filter(({ address }) => address.includes(":"));
      assert.deepEqual(
        six.map(({ address, answering }) => [address, answering]),
        [
          [EXTERNAL_VIP, true],
          [INTERNAL_VIP, true],
        ],
      );
      assert.deepEqual(asks(), { answers: true, mac: frontMac("rft", "external", 1) });
      assert.ok(neighbor.pings(INTERNAL_VIP));
      assert.ok(neighbor.pings("192.0.2.101"));
    });

    it("have their questions sent to every node's NIC, for as long as they are installed", async () => {
      const groups = () =>
        [gateway.groups("ext0"), gateway.groups("int0")].flat().filter((one) => one.endsWith("ff00:101"));
      const killed = gateway.up({ backend, ipv6: true });
      await killed.says(SERVES);
      assert.deepEqual(groups(), ["ff02::1:ff00:101", "ff02::1:ff00:101"]);
      await killed.kill();
      assert.equal(groups().length, 2);
      const next = gateway.up({ backend });
      await next.says(SERVES);
      assert.deepEqual(groups(), [], "a later daemon has no IPv6 VIPs");
    });

    it("are silent when the lease has run out, and when the daemon was killed, though the kernel has them", async () => {
      const daemon = gateway.up({ backend, ipv6: true });
      await daemon.says(SERVES);
      assert.ok(asks().answers);
      daemon.signal("SIGSTOP");
      silentInTime();
      await daemon.kill();
      assert.ok(gateway.addresses()[holder]?.includes(EXTERNAL_VIP), "the kernel has it still");
      assert.deepEqual(asks(), { answers: false, mac: undefined });
    });

    it("leave nothing behind, also by a start after a kill", async () => {
      const before = [gateway.traces(), gateway.addresses()];
      const killed = gateway.up({ backend, ipv6: true });
      await killed.says(SERVES);
      await killed.kill();
      const next = gateway.up({ backend, ipv6: true });
      await next.says(SERVES);
      await callControl(gateway.socket(), "down", {});
      assert.deepEqual(await next.end(), { status: 0, printed: [] });
      assert.deepEqual([gateway.traces(), gateway.addresses()], before);
    });
  });
}

describe("a gateway with IPv6 VIPs", { skip: obstacle() ?? false }, () => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await Machine.create();
  });
  afterEach(() => machine.remove());

  it("does not start where IPv6 is off on a NIC, and says so", async () => {
    machine.sysctl("int0/disable_ipv6", "1", "ipv6");
    const { status, printed } = await machine.up({ ipv6: true }).end();
    assert.equal(status, 1);
    assert.match(printed.join("\n"), /^rainfront: RF_NIC_IPV6: segment internal .* int0 \(fix: .*disable_ipv6=0.*\)$/);
  });

  it("is told by the doctor what of IPv6 is missing", () => {
    const findings = () => machine.doctor({ ipv6: true }).findings.filter(({ level }) => level === "warning");
    const messages = findings().map(({ message }) => message);
    assert.ok(messages.some((message) => message === "this machine does not forward IPv6 that comes in by ext0"));
    assert.ok(messages.some((message) => message.startsWith("int0 has no address in 2001:db8:2::/64")));
    machine.sysctl("all/forwarding", "1", "ipv6");
    machine.ip("address add 2001:db8:1::11/64 dev ext0 nodad");
    machine.ip("address add 2001:db8:2::11/64 dev int0 nodad");
    assert.ok(!findings().some(({ message }) => /IPv6|2001:db8/.test(message)));
    machine.ip("address change 2001:db8:1::11/64 dev ext0 valid_lft 600 preferred_lft 600");
    assert.ok(findings().some(({ message, fix }) => message.includes("will lose it") && fix?.includes("accept_ra=2")));
  });
});
