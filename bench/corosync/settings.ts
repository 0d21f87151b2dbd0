// How corosync is configured: as Debian has it, and at its best.

import type { Fabric, FabricNode } from "../raincore/fabric.js";

export interface CorosyncSettings {
  readonly name: string;
  readonly encrypted: boolean;
  /** Lines of the totem section beyond what every configuration has. Empty: everything as it comes. */
  readonly totem: Readonly<Record<string, number>>;
  /** knet's own monitoring of a link, interval and timeout. Computed from the token timeout when not given. */
  readonly ping_ms?: readonly [interval: number, timeout: number];
  /** corosync's sched_rr, on by default. */
  readonly realTime: boolean;
}

export function corosyncConf(settings: CorosyncSettings, fabric: Fabric, logFile: string): string {
  const crypto = settings.encrypted
    ? ["crypto_model: openssl", "crypto_cipher: aes256", "crypto_hash: sha256"]
    : ["crypto_cipher: none", "crypto_hash: none"];
  const totem = Object.entries(settings.totem).map(([key, value]) => `${key}: ${value}`);
  const link =
    settings.ping_ms === undefined
      ? []
      : [
          `interface {\nlinknumber: 0\nknet_ping_interval: ${settings.ping_ms[0]}\nknet_ping_timeout: ${settings.ping_ms[1]}\n}`,
        ];
  return [
    section("totem", ["version: 2", "cluster_name: bench", "transport: knet", ...crypto, ...totem, ...link]),
    section("system", [`sched_rr: ${settings.realTime ? "yes" : "no"}`, ...(settings.realTime ? [] : ["priority: 0"])]),
    section("logging", [
      "to_stderr: no",
      "to_syslog: no",
      "to_logfile: yes",
      `logfile: ${logFile}`,
      // It writes several lines for each rotation of the token otherwise.
      "logfile_priority: warning",
    ]),
    section("nodelist", fabric.nodes.map(nodeSection)),
    section("quorum", []),
  ].join("");
}

function nodeSection(node: FabricNode): string {
  return section("node", [`name: node${node.nodeId}`, `nodeid: ${node.nodeId}`, `ring0_addr: ${node.address}`]);
}

function section(name: string, lines: readonly string[]): string {
  return `${name} {\n${lines.join("\n")}\n}\n`;
}
