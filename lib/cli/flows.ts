// `rainfront flows`: what this node remembers of flows.

import { callControl } from "../api/controlClient.js";
import type { FlowOverview } from "../api/flowProtocol.js";
import { type Console, configuredNode } from "./common.js";
import { table } from "./statusTable.js";

export interface FlowsOptions {
  /** By its id or name. */
  readonly node?: string;
  readonly limit: number;
  readonly json?: true;
}

export async function flows(socketPath: string, options: FlowsOptions, console: Console): Promise<void> {
  const { limit, node } = options;
  // Names come with the answer; a flow's node may have left the group.
  const { names } = node === undefined ? { names: {} } : await callControl(socketPath, "flows", { limit: 0 });
  const wanted = node === undefined ? {} : { node: configuredNode(names, node) };
  const overview = await callControl(socketPath, "flows", { limit, ...wanted });
  console.out(options.json === true ? `${JSON.stringify(overview)}\n` : renderFlows(overview));
}

function renderFlows({ node, policy, names, counts, flows }: FlowOverview): string {
  if (policy === "authority")
    return "no flow is remembered: the hash says who handles it (assignment: authority); rainfront explain FLOW says who\n";
  const nameOf = (id: number): string => (id === 0 ? "nobody" : (names[id] ?? `node ${id}`));
  const total = counts.reduce((sum, count) => sum + count.flows, 0);
  const head = `${node.name} remembers ${total} flows (assignment: ${policy})`;
  const perNode = counts.map((count) => [nameOf(count.node), String(count.flows)]);
  const rows = flows.map((flow) => [
    flow.flow,
    flow.isHeld || flow.node === 0 ? nameOf(flow.node) : `${nameOf(flow.node)} (gone)`,
    flow.life,
    String(flow.epoch),
    (flow.idle_ms / 1000).toFixed(1),
    flow.isAlias ? "alias" : "",
  ]);
  const blocks = [head];
  if (perNode.length > 0) blocks.push(table(["handled by", "flows"], perNode));
  if (rows.length > 0) blocks.push(table(["flow", "handled by", "life", "view", "idle s", ""], rows));
  return `${blocks.join("\n\n")}\n`;
}
