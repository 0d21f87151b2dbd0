// keepalived as a peer of the layer: the same gateways and VIPs, one VRRP instance per segment, both in one group so that a
// gateway has all VIPs or none. Pure; gateway.ts starts it.

import { join } from "node:path";
import { type LabPlan, SEGMENTS } from "./plan.js";

/** Its shortest: VRRP version 3 counts centiseconds. */
export const ADVERT_INTERVAL_S = 0.01;
const PRIORITY_MAX = 200;
/** When it is given real-time priority: of SCHED_RR, that of the daemon's ring (native/port/realtime.cc). */
const REALTIME_PRIORITY = 2;

export interface KeepalivedSettings {
  readonly nodeId: number;
  readonly realtime: boolean;
  readonly nics: Readonly<Record<(typeof SEGMENTS)[number], string>>;
  /** Called with `primary`, `backup` or `fault` as its only argument when the gateway has become that. */
  readonly notifyScript?: string;
}

/** `nopreempt`: a gateway that comes back takes nothing, so each round has one takeover. */
export function keepalivedConfig(plan: LabPlan, settings: KeepalivedSettings): string {
  const { notifyScript } = settings;
  const notifies = notifyScript === undefined ? {} : { master: "primary", backup: "backup", fault: "fault" };
  const instances = SEGMENTS.map(
    (segment, index) => `vrrp_instance ${segment} {
  state BACKUP
  nopreempt
  interface ${settings.nics[segment]}
  virtual_router_id ${51 + index}
  priority ${PRIORITY_MAX - settings.nodeId}
  advert_int ${ADVERT_INTERVAL_S}
  virtual_ipaddress {
${plan.vips[segment].map((vip) => `    ${vip}/32\n`).join("")}  }
}
`,
  );
  return `global_defs {
  router_id gw${settings.nodeId}
  vrrp_version 3
${settings.realtime ? `  vrrp_rt_priority ${REALTIME_PRIORITY}\n` : ""}${notifyScript === undefined ? "" : "  script_user root\n"}}
vrrp_sync_group all {
  group {
${SEGMENTS.map((segment) => `    ${segment}\n`).join("")}  }
${Object.entries(notifies)
  .map(([state, word]) => `  notify_${state} "${notifyScript} ${word}"\n`)
  .join("")}}
${instances.join("")}`;
}

/** In the foreground, its log on stderr, its pid files in the gateway's own folder: a stale one would make it refuse to start. */
export function keepalivedCommand(folder: string, configFile: string): string[] {
  const pidFiles = ["--pid", join(folder, "keepalived.pid"), "--vrrp_pid", join(folder, "vrrp.pid")];
  return ["keepalived", "--dont-fork", "--log-console", "--no-syslog", "--vrrp", "--use-file", configFile, ...pidFiles];
}

/** VRRP's number in the IP header: the gateways' firewalls must let it in. */
export const VRRP_PROTOCOL = 112;

/** How often its log tells of becoming the owner. */
export function masterEntries(log: string): number {
  return log.match(/Entering MASTER STATE/g)?.length ?? 0;
}
