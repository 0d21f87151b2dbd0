// Loads the plugin that the options name and shows it the session. Used by session.ts.
import { pathToFileURL } from "node:url";
import { RainfrontError } from "../errors.js";
import type { RaincoreEngine } from "../raincore/engine.js";
import type { Network } from "./network.js";
import type { CreatePlugin, PluginHost, SessionPlugin } from "./plugin.js";
import type { SessionConfig, SessionEvent } from "./protocol.js";

/** What a plugin sees of the session, which does not exist before its plugin. */
export interface PluginView {
  readonly engine: RaincoreEngine;
  wake(): void;
  sendForPlugin(nodeId: number, bytes: Uint8Array): void;
}

/** Throws `RF_ARGUMENT` for a module without `createPlugin`, and what that throws. */
export async function loadPlugin(
  config: SessionConfig,
  session: () => PluginView | undefined,
  network: Network,
  emit: (event: SessionEvent) => void,
): Promise<SessionPlugin | undefined> {
  if (config.plugin === undefined) return undefined;
  const { module, data } = config.plugin;
  const url = module.startsWith("file:") ? module : pathToFileURL(module).href;
  const { createPlugin } = (await import(url)) as { createPlugin?: CreatePlugin };
  if (typeof createPlugin !== "function") {
    throw new RainfrontError("RF_ARGUMENT", `plugin ${module} does not export createPlugin`, { fix: "see PluginHost" });
  }
  return createPlugin(hostOf(session, network, emit), data);
}

function hostOf(
  session: () => PluginView | undefined,
  network: Network,
  emit: (event: SessionEvent) => void,
): PluginHost {
  return {
    now_ms: () => network.now_ms(),
    wake: () => session()?.wake(),
    status: () => {
      const engine = session()?.engine;
      if (engine === undefined) throw new Error("the plugin asks before the ring exists");
      return engine.status();
    },
    send: (nodeId, bytes) => session()?.sendForPlugin(nodeId, bytes),
    networkCounters: () => network.counters(),
    suspectedKeyMismatch: () => network.suspectedKeyMismatch,
    // Cloned here, so that what cannot be handed over fails where it came from.
    emit: (event) => emit({ type: "plugin", event: structuredClone(event) }),
    log: (level, code, fields) => emit({ type: "log", level, code, fields: structuredClone(fields) }),
  };
}
