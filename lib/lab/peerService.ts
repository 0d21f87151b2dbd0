// Starts what the layer is compared with on a gateway: keepalived, and conntrackd where the gateway has a partner. Used by gateway.ts.

import type { ChildProcess } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RainfrontError } from "../errors.js";
import {
  CONNTRACKD_PORT,
  conntrackdCommand,
  conntrackdConfig,
  conntrackdSocket,
  notifyScript,
  partnerOf,
} from "./conntrackd.js";
import { acceptInput } from "./firewall.js";
import type { Host } from "./host.js";
import { type KeepalivedSettings, keepalivedCommand, keepalivedConfig, VRRP_PROTOCOL } from "./keepalived.js";
import type { LabPlan } from "./plan.js";
import type { GatewayService } from "./services.js";
import { waitFor } from "./waiting.js";

const START_DEADLINE_MS = 10_000;

export interface PeerSurroundings {
  readonly host: Host;
  readonly plan: LabPlan;
  readonly nodeId: number;
  readonly nics: KeepalivedSettings["nics"];
  /** For its files, of this life of the gateway. */
  readonly folder: string;
  readonly start: (argv: readonly string[]) => ChildProcess;
}

/** Resolves with keepalived's process. */
export async function startPeer(
  around: PeerSurroundings,
  { realtime, conntrackd }: Extract<GatewayService, { kind: "keepalived" }>,
): Promise<ChildProcess> {
  const { host, plan, nodeId, nics, folder, start } = around;
  await acceptInput(host, `ip protocol ${VRRP_PROTOCOL}`);
  const partnerId = conntrackd ? partnerOf(plan, nodeId) : undefined;
  const script = partnerId === undefined ? {} : { notifyScript: await startConntrackd(around, partnerId) };
  const configFile = join(folder, "keepalived.conf");
  writeFileSync(configFile, keepalivedConfig(plan, { nodeId, realtime, nics, ...script }), { mode: 0o600 });
  return start(keepalivedCommand(folder, configFile));
}

/** Resolves when it takes orders, with the script by which keepalived gives them: the first word of keepalived is not to be lost. */
async function startConntrackd(
  { host, plan, nodeId, nics, folder, start }: PeerSurroundings,
  partnerId: number,
): Promise<string> {
  await acceptInput(host, `udp dport ${CONNTRACKD_PORT}`);
  const configFile = join(folder, "conntrackd.conf");
  const settings = { nodeId, partnerId, nic: nics.internal, folder };
  writeFileSync(configFile, conntrackdConfig(plan, settings), { mode: 0o600 });
  const script = join(folder, "notify.sh");
  writeFileSync(script, notifyScript(configFile), { mode: 0o700 });
  const program = start(conntrackdCommand(configFile));
  await waitFor("conntrackd takes orders", { deadline_ms: START_DEADLINE_MS }, async () => {
    if (program.exitCode !== null)
      throw new RainfrontError("RF_LAB_COMMAND", `conntrackd ended with status ${program.exitCode}`);
    return existsSync(conntrackdSocket(folder)) ? { met: true } : { unmet: "it has no socket yet" };
  });
  return script;
}
