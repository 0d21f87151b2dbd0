// Runs inside a box, started by testers.test.ts: one switch, two plain hosts that hold the same VIP by turns and together, an
// observer and a prober. Prints one JSON object with what the two saw.

import { hostPrefixLength } from "../../lib/config/address.js";
import { Host } from "../../lib/lab/host.js";
import { makePrivateRun } from "../../lib/lab/isolation.js";
import { Observer } from "../../lib/lab/observer.js";
import { familySysctls, onLink } from "../../lib/lab/plan.js";
import { Prober } from "../../lib/lab/probes.js";
import { Switch } from "../../lib/lab/switch.js";
import { measureFor, now_ms, waitFor } from "../../lib/lab/waiting.js";

const families = process.argv[2] === "6" ? ([6] as const) : ([4] as const);
const addressOf = (n: number) => (families[0] === 6 ? `2001:db8:1::${n}` : `192.0.2.${n}`);
const VIP = addressOf(101);
const OTHER_VIP = addressOf(102);
const alone = (address: string) => `${address}/${hostPrefixLength(address)}`;

makePrivateRun();
const network = new Switch("sw");
await network.power();
const hosts = new Map<string, Host>();
for (const [index, name] of ["alpha", "beta", "watch", "probe"].entries()) {
  const host = new Host(name);
  await host.create({
    "net/ipv4/conf/all/arp_ignore": 1,
    ...familySysctls(families),
    "net/ipv6/conf/default/keep_addr_on_down": 1,
    "net/ipv6/conf/all/keep_addr_on_down": 1,
  });
  await network.plugIn({ host, nic: "eth0", mac: macOf(index), addresses: [onLink(addressOf(10 + index))] });
  hosts.set(name, host);
}
const [alpha, beta, watch, probe] = ["alpha", "beta", "watch", "probe"].map((name) => hosts.get(name) as Host);
if (!alpha || !beta || !watch || !probe) throw new Error("hosts");

await alpha.ip([VIP, OTHER_VIP].map((vip) => `addr add ${alone(vip)} dev eth0`));
const observer = new Observer(watch, "eth0", addressOf(12), [VIP, OTHER_VIP]);
const prober = new Prober(probe, addressOf(13), [VIP, OTHER_VIP]);
await waitFor("both VIPs answer", { deadline_ms: 5000 }, async () => {
  const [seen, probed] = [await observer.report(), await prober.report()];
  const answering =
    seen.vips.every((vip) => vip.answered > 10) && probed.targets.every((target) => target.received > 10);
  return answering ? { met: true } : { unmet: JSON.stringify([seen, probed]) };
});

observer.reset();
prober.reset();
await measureFor(200);
const single = await observer.report();
const steady = await prober.report();

const adding_ms = now_ms();
await beta.ip([`addr add ${alone(VIP)} dev eth0`]);
const together_ms = now_ms();
await measureFor(300);
const apart_ms = now_ms();
await alpha.ip([`addr del ${alone(VIP)} dev eth0`]);
const removed_ms = now_ms();
await measureFor(100);
observer.mark("apart");
const doubled = await observer.report();

observer.reset();
prober.reset();
await alpha.ip(["link set eth0 down"]);
const down_ms = now_ms();
await measureFor(250);
const upBegun_ms = now_ms();
await alpha.ip(["link set eth0 up"]);
const up_ms = now_ms();
await waitFor("the VIP answers again", { deadline_ms: 5000 }, async () => {
  const target = (await prober.report()).targets[1];
  return (target?.last_answer_ms ?? 0) > up_ms ? { met: true } : { unmet: "silent" };
});
const silent = { seen: await observer.report(), probed: await prober.report() };

const result = {
  single,
  steady,
  doubled,
  silent,
  both_ms_min: apart_ms - together_ms,
  both_ms_max: removed_ms - adding_ms,
  down_ms_min: upBegun_ms - down_ms,
  macs: [macOf(0), macOf(1)],
};
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));

function macOf(index: number): string {
  return `06:00:00:00:00:0${index + 1}`;
}
