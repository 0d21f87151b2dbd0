// What the commands share: where they print, and how they find the daemon.

import { join } from "node:path";
import { loadStateDir } from "../config/load.js";
import { CONTROL_SOCKET_NAME, DEFAULTS } from "../config/options.js";

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
