// `rainfront up`: loads the configuration, then becomes the daemon.

import type { Config } from "../config/config.js";
import { loadConfig } from "../config/load.js";

/** The daemon's module. Loaded late: the other commands need neither it nor the native addon. */
interface DaemonModule {
  /** Resolves with the exit status when the node has left and nothing of it remains. */
  runGateway(config: Config): Promise<number>;
}

export async function up(options: { readonly config: string; readonly node?: number }): Promise<number> {
  const config = loadConfig(options.config, { node: options.node });
  const daemon: DaemonModule = await import(new URL("../gateway/daemon.js", import.meta.url).href);
  return daemon.runGateway(config);
}
