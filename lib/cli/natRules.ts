// `rainfront nat-rules`: prints a node's rules for the translation of addresses. Needs no daemon, and changes nothing.

import { loadConfig } from "../config/load.js";
import { natRules, ownPorts } from "../gateway/natRules.js";
import type { Console } from "./common.js";

export interface NatRulesOptions {
  readonly config: string;
  readonly node?: number;
  readonly json?: true;
}

export function printNatRules({ config: file, node, json }: NatRulesOptions, console: Console): void {
  const config = loadConfig(file, { node });
  const rules = natRules(config);
  console.out(json === true ? `${JSON.stringify({ node: config.node.id, ports: ownPorts(config), rules })}\n` : rules);
}
