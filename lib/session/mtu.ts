// How large a ring's datagram may be, from the MTU of the interfaces that have the node's addresses. Used where a session opens its sockets.

import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { SEAL_OVERHEAD_BYTES } from "../raincore/secureChannel.js";

const IPV4_AND_UDP_BYTES = 20 + 8;
/**
 * What every segment of Ethernet carries. More is never used, also where an interface of this node has more: a switch or a node on the way that
 * has less drops large frames without a word, so that just the large messages are lost, under load, and their senders are taken for dead.
 */
export const MTU_MAX = 1500;
/** What tunnels leave of it, and a little less. Below it, datagrams are left to fragments: the ring's messages would become too many. */
export const MTU_MIN = 1280;

/** Where the system tells about itself. */
export interface SystemInterfaces {
  /** Interfaces and their IPv4 addresses. */
  readonly addresses: () => Readonly<Record<string, readonly { readonly address: string }[] | undefined>>;
  /** The MTU of an interface; throws when it is gone. */
  readonly mtu: (name: string) => number;
}

const SYSTEM: SystemInterfaces = {
  addresses: networkInterfaces,
  mtu: (name) => Number(readFileSync(`/sys/class/net/${name}/mtu`, "utf8")),
};

/** The largest message of which the sealed datagram fits into one packet on the interfaces of all these addresses. */
export function packetBytesMax(addresses: readonly string[], system: SystemInterfaces = SYSTEM): number {
  return Math.min(...addresses.map((address) => mtuOf(address, system))) - IPV4_AND_UDP_BYTES - SEAL_OVERHEAD_BYTES;
}

/** 1280 to 1500; 1500 where it is not known. */
export function mtuOf(address: string, system: SystemInterfaces = SYSTEM): number {
  for (const [name, owned] of Object.entries(system.addresses())) {
    if (owned?.some((one) => one.address === address) === true)
      return Math.min(Math.max(readMtu(name, system), MTU_MIN), MTU_MAX);
  }
  return MTU_MAX;
}

function readMtu(name: string, system: SystemInterfaces): number {
  try {
    const mtu = system.mtu(name);
    return Number.isInteger(mtu) ? mtu : MTU_MAX;
  } catch {
    return MTU_MAX;
  }
}
