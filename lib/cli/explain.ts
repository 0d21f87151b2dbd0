// `rainfront explain FLOW`: who handles a flow, who knows so, and why.

import { callControl } from "../api/controlClient.js";
import type { ConnectionSight, FlowExplanation, NodeSight } from "../api/flowProtocol.js";
import { formatFlow, parseFlow } from "../flows/flowText.js";
import type { Console } from "./common.js";
import { table } from "./statusTable.js";

export async function explain(
  socketPath: string,
  text: string,
  options: { readonly json?: true },
  console: Console,
): Promise<void> {
  const explanation = await callControl(socketPath, "explain", { flow: formatFlow(parseFlow(text)) });
  console.out(options.json === true ? `${JSON.stringify(explanation)}\n` : renderExplanation(explanation));
}

export function renderExplanation(explanation: FlowExplanation): string {
  const { flow, policy, epoch, slot, authority, handler, why, nodes, alias, backup } = explanation;
  const nameOf = (id: number | null): string =>
    id === null ? "nobody" : (nodes.find(({ node }) => node === id)?.name ?? `node ${id}`);
  const lines = [
    flow,
    `handler    ${nameOf(handler)}: ${why}`,
    `authority  ${nameOf(authority)}${placeOf(slot, authority)}, in view ${epoch}, assignment: ${policy}`,
  ];
  if (alias !== null) {
    const which = alias.isFirst ? "its first packets are" : "its answers are";
    const knownBy = alias.knownBy.map(({ node, handler }) => `${nameOf(node)} (as ${nameOf(handler)}'s)`).join(", ");
    lines.push(
      `alias      ${which} ${alias.flow}, whose authority is ${nameOf(alias.authority)}; known by ${knownBy === "" ? "nobody" : knownBy}`,
    );
  }
  if (backup !== null) {
    const has = backup.hasReplica
      ? "has what its firewall knows"
      : "is told what its firewall knows, once both ends have spoken";
    lines.push(`backup     ${nameOf(backup.node)} ${has}`);
  }
  const rows = nodes.map((sight) => rowOf(sight, nameOf));
  const troubles = nodes.flatMap(({ name, trouble }) =>
    trouble === null ? [] : [`${name} could not look everywhere: ${trouble}`],
  );
  const parts = [lines.join("\n"), table(["node", "goes by", "firewall", "copy from"], rows), ...troubles];
  return `${parts.join("\n\n")}\n`;
}

function placeOf(slot: number | null, authority: number | null): string {
  if (slot !== null) return ` (slot ${slot})`;
  return authority === null ? "" : " (by its port: portRanges)";
}

function rowOf(sight: NodeSight, nameOf: (id: number) => string): string[] {
  if (!sight.isReachable) return [sight.name, "did not answer", "", ""];
  const copy = sight.replica === null ? "-" : nameOf(sight.replica.from);
  return [sight.name, goesBy(sight, nameOf), firewallSays(sight.connection), copy];
}

function goesBy({ knows }: NodeSight, nameOf: (id: number) => string): string {
  if (knows === null) return "-";
  const marks = [
    `view ${knows.epoch}`,
    knows.life,
    ...(knows.isAlias ? ["alias"] : []),
    `idle ${(knows.idle_ms / 1000).toFixed(1)} s`,
  ].join(", ");
  if (knows.node === 0) return `nobody had it (${marks})`;
  return `${nameOf(knows.node)}${knows.isHeld ? "" : ", gone"} (${marks})`;
}

function firewallSays(connection: ConnectionSight | null): string {
  if (connection === null) return "-";
  return `${connection.state}${connection.isAssured ? ", assured" : ""}, ${connection.timeout_s} s left`;
}
