// The human form of a status. Pure. Called by status.ts.

import type { GatewayStatus } from "../api/controlProtocol.js";

export function renderStatus(status: GatewayStatus): string {
  const blocks = [header(status), members(status), vips(status), counters(status)];
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

function header(status: GatewayStatus): string {
  const { node, lease } = status;
  const leaseText = lease.valid
    ? `valid for ${Math.round(lease.remaining_ms)} ms`
    : "none: this node answers for no VIP";
  const serves = status.quorum.quorate ? "serves" : "no quorum, does not serve";
  return [
    `rainfront ${status.version}, cluster ${status.cluster}, node ${node.id} (${node.name}): ${status.state}`,
    `up ${duration(status.uptime_s)}, pid ${status.pid}, backend ${status.backend}, view ${status.epoch}, token ${status.seq}`,
    `quorum ${status.quorum.policy}: ${status.state === "member" ? serves : "in no group"}`,
    `lease ${leaseText}; a VIP moves within ${Math.round(status.bound_ms)} ms when its node dies`,
  ].join("\n");
}

function members(status: GatewayStatus): string {
  const rows = status.members.map((member) => {
    const owned = status.vips.filter((vip) => vip.currentHost === member.id).length;
    const marks = [member.ready ? "ready" : "joining", ...(member.id === status.node.id ? ["this node"] : [])];
    return [String(member.id), member.name, String(owned), marks.join(", "), pathsTo(status, member.id)];
  });
  if (rows.length === 0) return "no members: this node is in no group yet";
  return table(["node", "name", "VIPs", "", "paths"], rows);
}

function pathsTo(status: GatewayStatus, nodeId: number): string {
  const paths = status.paths.filter((path) => path.nodeId === nodeId);
  return paths
    .map(({ segment, isUp, roundTrip_ms }) => {
      if (!isUp) return `${segment} down`;
      return roundTrip_ms === null ? segment : `${segment} ${roundTrip_ms.toFixed(1)} ms`;
    })
    .join(", ");
}

function vips(status: GatewayStatus): string {
  const names = new Map(status.members.map((member) => [member.id, member.name]));
  const host = (id: number) => (id === 0 ? "-" : (names.get(id) ?? `node ${id}`));
  const rows = status.vips.map((vip) => [
    vip.address,
    vip.segment,
    host(vip.currentHost),
    host(vip.preferredHost),
    String(vip.persistence),
    vip.answering ? "answering" : "",
  ]);
  return rows.length === 0 ? "" : table(["VIP", "segment", "owner", "preferred", "persistence", "here"], rows);
}

function counters(status: GatewayStatus): string {
  const sources = { ...status.ports, ring: status.ring };
  const rows = Object.entries(sources).flatMap(([source, values]) =>
    Object.entries(values)
      .filter(([, count]) => count !== 0)
      .map(([name, count]) => [source, name, String(count)]),
  );
  return rows.length === 0 ? "" : table(["counters", "(zeros are left out)", ""], rows);
}

/** Columns as wide as their widest cell; columns of numbers are aligned right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const numeric = head.map((_, column) => rows.every((row) => /^\d+$/.test(row[column] ?? "")));
  const format = (line: readonly string[]) =>
    line
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd();
  return lines.map(format).join("\n");
}

function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
