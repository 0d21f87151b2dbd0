// The live table: what one look at the lab shows. Pure; live.ts gathers the rows.

export interface GatewayRow {
  readonly name: string;
  readonly state: string;
  readonly vips: readonly string[];
  readonly in_pps: number;
  readonly out_pps: number;
  readonly relayed_pps: number;
  /** Frames dropped in the last second by cause. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly firewallInvalid: number;
}

export interface TrafficRow {
  readonly ok_per_s: number;
  readonly failed_per_s: number;
  readonly ok: number;
  readonly failed: number;
  /** The longest silence of any probe stream in the last second. */
  readonly silence_ms: number;
  readonly double_owner_ms: number;
}

const HEAD = ["node", "state", "in pps", "out pps", "relayed", "fw invalid", "VIPs owned", "dropped"] as const;

export function renderTable(gateways: readonly GatewayRow[], traffic: TrafficRow): string {
  const cells = gateways.map((row) => [
    row.name,
    row.state,
    row.in_pps.toFixed(0),
    row.out_pps.toFixed(0),
    row.relayed_pps.toFixed(0),
    String(row.firewallInvalid),
    row.vips.map(shortVip).join(" ") || "-",
    causes(row.dropped),
  ]);
  const widths = HEAD.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0, column))
      .join("  ")
      .trimEnd();
  return [line(HEAD), ...cells.map(line), "", trafficLine(traffic)].join("\n");
}

function trafficLine(traffic: TrafficRow): string {
  return (
    `requests ok ${traffic.ok_per_s.toFixed(0)}/s failed ${traffic.failed_per_s.toFixed(0)}/s` +
    ` (total ${traffic.ok} ok, ${traffic.failed} failed)` +
    ` | longest silence ${traffic.silence_ms.toFixed(0)} ms | two owners ${traffic.double_owner_ms.toFixed(0)} ms`
  );
}

/** `e101` for 192.0.2.101, `i101` for 10.77.0.101. */
function shortVip(address: string): string {
  return (address.startsWith("10.") ? "i" : "e") + address.slice(address.lastIndexOf(".") + 1);
}

function causes(dropped: Readonly<Record<string, number>>): string {
  const some = Object.entries(dropped).filter(([, count]) => count > 0);
  return some.map(([cause, count]) => `${cause.replace(/^drop_/, "")} ${count}`).join(", ") || "-";
}

/** Numbers stand to the right, words to the left. */
function pad(cell: string, width: number, column: number): string {
  return column >= 2 && column <= 5 ? cell.padStart(width) : cell.padEnd(width);
}
