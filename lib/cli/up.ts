// `rainfront up`: loads the configuration, then becomes the daemon.

import { loadConfig } from "../config/load.js";

export async function up(options: { readonly config: string; readonly node?: number }): Promise<number> {
  const config = loadConfig(options.config, { node: options.node });
  // Loaded late: the other commands need neither the daemon nor the native addon.
  const { runGateway } = await import("../gateway/daemon.js");
  return runGateway(config);
}
