// conntrackd beside keepalived: of a pair of gateways, the active one tells the other about its connections, which puts them into its kernel
// when it takes over. Pure; peerService.ts starts it.

import { join } from "node:path";
import type { LabPlan } from "./plan.js";

/** What the pair says to each other; its firewalls must let it in. */
export const CONNTRACKD_PORT = 3780;

/** It knows pairs: the first two gateways are one. Undefined: this gateway is in none. */
export function partnerOf(plan: LabPlan, nodeId: number): number | undefined {
  const pair = plan.gateways.slice(0, 2).map(({ id }) => id);
  return pair.includes(nodeId) ? pair.find((id) => id !== nodeId) : undefined;
}

export interface ConntrackdSettings {
  readonly nodeId: number;
  readonly partnerId: number;
  /** Of the internal segment, over which they tell each other. */
  readonly nic: string;
  /** Its lock and its control socket. */
  readonly folder: string;
}

/**
 * FTFW, its reliable mode, as its manual has it for an active and a backup gateway. TCP windows are not told, and not judged of connections that
 * were taken over: its default, and what the layer does.
 */
export function conntrackdConfig(plan: LabPlan, { nodeId, partnerId, nic, folder }: ConntrackdSettings): string {
  const address = (id: number) => plan.gateways.find((gateway) => gateway.id === id)?.addresses.internal ?? "";
  return `Sync {
  Mode FTFW {
    ResendQueueSize 131072
    CommitTimeout 180
    PurgeTimeout 60
    ACKWindowSize 300
  }
  UDP {
    IPv4_address ${address(nodeId)}
    IPv4_Destination_Address ${address(partnerId)}
    Port ${CONNTRACKD_PORT}
    Interface ${nic}
    SndSocketBuffer 1249280
    RcvSocketBuffer 1249280
    Checksum on
  }
}
General {
  HashSize 32768
  HashLimit 131072
  Syslog off
  LogFile off
  LockFile ${join(folder, "conntrackd.lock")}
  UNIX {
    Path ${conntrackdSocket(folder)}
  }
  NetlinkBufferSize 2097152
  NetlinkBufferSizeMaxGrowth 8388608
  NetlinkOverrunResync on
  Filter From Kernelspace {
    Protocol Accept {
      TCP
    }
  }
}
`;
}

/** Its control socket: there when it takes orders. */
export function conntrackdSocket(folder: string): string {
  return join(folder, "conntrackd.ctl");
}

/** In the foreground, its log on stdout. */
export function conntrackdCommand(configFile: string): string[] {
  return ["conntrackd", "-C", configFile];
}

/**
 * What keepalived calls when the gateway becomes active (`primary`) or backup, or has lost a NIC (`fault`); the orders are those of conntrackd's
 * own example (primary-backup.sh): commit what the other told, forget it, read the kernel's table, tell it all; or let old entries end, ask for all.
 */
export function notifyScript(configFile: string): string {
  const order = (flags: readonly string[]) => flags.map((flag) => `    conntrackd -C ${configFile} ${flag}`).join("\n");
  return `#!/bin/sh
case "$1" in
  primary)
${order(["-c", "-f", "-R", "-B"])}
    ;;
  backup)
${order(["-t", "-n"])}
    ;;
  fault)
${order(["-t"])}
    ;;
esac
`;
}
