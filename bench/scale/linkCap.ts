// Bounds what a gateway's link carries, in each direction, as a slow NIC would. Both bounds stand at the switch's end of the cable: what a data plane sends
// without the kernel's queues (XDP, packet rings) meets them too. Used by site.ts.
//
// tbf bounds; in front of it the TCP of clients and servers waits behind everything else (the ring, VRRP, conntrackd, ARP), as an operator would set up a
// link that is to be full. HTB's classes never wait for their rates here: of two, the one of the lower `prio` goes first.

import type { Host } from "../../lib/lab/host.js";

/** As much as 50 ms fill. */
const QUEUE_MS = 50;
/** Several times what a timer's delay adds. */
const BURST_MS = 2;
const BURST_BYTES_MIN = 16_000;
const TCP = 6;

/** Lines of `tc -batch`. */
export function capLines(device: string, mbit_per_s: number): string[] {
  const bytesIn = (time_ms: number) => Math.round((mbit_per_s * 1e6 * time_ms) / 8 / 1000);
  const burst = Math.max(BURST_BYTES_MIN, bytesIn(BURST_MS));
  const queue = Math.max(BURST_BYTES_MIN, bytesIn(QUEUE_MS));
  const unbound = "htb rate 40gbit ceil 40gbit quantum 60000";
  return [
    `qdisc add dev ${device} root handle 1: tbf rate ${mbit_per_s}mbit burst ${burst} limit ${queue}`,
    `qdisc add dev ${device} parent 1:1 handle 2: htb default 10`,
    `class add dev ${device} parent 2: classid 2:10 ${unbound} prio 0`,
    `class add dev ${device} parent 2: classid 2:20 ${unbound} prio 1`,
    `qdisc add dev ${device} parent 2:10 handle 10: pfifo limit 1000`,
    `qdisc add dev ${device} parent 2:20 handle 20: bfifo limit ${queue}`,
    `filter add dev ${device} parent 2: protocol ip prio 1 u32 match ip protocol ${TCP} 0xff flowid 2:20`,
  ];
}

/** @param port of the switch, where the gateway's cable ends */
export async function capLink(host: Host, port: string, mbit_per_s: number): Promise<void> {
  // What comes from the gateway passes a device of its own: there are queues for what leaves only.
  const inbound = `in-${port}`;
  await host.ip([`link add ${inbound} type ifb`, `link set ${inbound} up`]);
  const redirect = `action mirred egress redirect dev ${inbound}`;
  const lines = [
    ...capLines(port, mbit_per_s),
    ...capLines(inbound, mbit_per_s),
    `qdisc add dev ${port} ingress`,
    `filter add dev ${port} parent ffff: protocol all prio 1 u32 match u32 0 0 ${redirect}`,
  ];
  await host.run(["tc", "-batch", "-"], `${lines.join("\n")}\n`);
}
