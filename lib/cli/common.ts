// What the commands share: where they print, and how they find the daemon.

import { join } from "node:path";
import type { GatewayStatus } from "../api/controlProtocol.js";
import { loadStateDir } from "../config/load.js";
import { CONTROL_SOCKET_NAME, DEFAULTS } from "../config/options.js";
import { RainfrontError } from "../errors.js";

export interface Console {
  out(text: string): void;
  err(text: string): void;
  /** Whether `out` is a terminal, whose screen may be cleared. */
  readonly isTerminal: boolean;
}

export interface SocketOptions {
  readonly socket?: string;
  readonly config?: string;
}

/** `--socket`, else the one below the configured state folder, else the default place. */
export function socketPathFor(options: SocketOptions): string {
  if (options.socket !== undefined) return options.socket;
  const stateDir = options.config === undefined ? DEFAULTS.stateDir : loadStateDir(options.config);
  return join(stateDir, CONTROL_SOCKET_NAME);
}

/** A member by its id or name. Throws `RF_NODE_UNKNOWN`. */
export function memberOf(status: GatewayStatus, text: string): { readonly id: number; readonly name: string } {
  const member = status.members.find((candidate) => candidate.name === text || String(candidate.id) === text);
  if (member !== undefined) return member;
  const members = status.members.map((candidate) => candidate.name).join(", ");
  throw new RainfrontError("RF_NODE_UNKNOWN", `${text} is not a member of the group now`, {
    fix: members === "" ? "wait until this node has joined a group" : `give one of ${members}`,
  });
}

/** A node of the configuration by its id or name, as the daemon names them. Throws `RF_NODE_UNKNOWN`. */
export function configuredNode(names: Readonly<Record<string, string>>, text: string): number {
  const found = Object.entries(names).find(([id, name]) => name === text || id === text);
  if (found !== undefined) return Number(found[0]);
  throw new RainfrontError("RF_NODE_UNKNOWN", `there is no node ${text}`, {
    fix: `give one of ${Object.values(names).join(", ")}`,
  });
}
