// The carriages behind the token (the patent's figure 14): lets every module see and change its own. Called by the ring
// while it holds the token. A module that fails, or returns too much, leaves its carriage as it was.
import type { Core } from "./core.js";
import { CARRIAGES_MAX, type Carriage, TOKEN_BYTES_MAX, type Token, viewOf } from "./token.js";
import type { Removed, TokenContext, TokenModule } from "./types.js";

export interface Visit {
  readonly removed: readonly Removed[];
  readonly tokenReceived_ms: number;
}

// Header and member records of the largest view.
const TOKEN_HEAD_BYTES_MAX = 16 + 256 * 24;
const CARRIAGE_HEAD_BYTES = 8;

export function visitModules(core: Core, token: Token, visit: Visit): Token {
  let isHastened = false;
  const ctx: TokenContext = {
    now_ms: core.now_ms,
    self: core.self,
    view: viewOf(token, core.self),
    tokenReceived_ms: visit.tokenReceived_ms,
    removed: visit.removed,
    leaving: core.leaving,
    lease_ms: core.timers.lease_ms,
    hasten: () => {
      isHastened = true;
    },
  };
  let carriages = token.carriages;
  for (const module of core.config.modules) carriages = visitModule(core, module, ctx, carriages);
  if (carriages === token.carriages && !isHastened) return token;
  return { ...token, carriages, hurry: isHastened ? token.members.length : token.hurry };
}

function visitModule(
  core: Core,
  module: TokenModule,
  ctx: TokenContext,
  carriages: readonly Carriage[],
): readonly Carriage[] {
  const before = carriages.find((carriage) => carriage.type === module.carriageType);
  const bytes = runModule(core, module, ctx, before?.bytes);
  if (bytes === undefined || bytes === before?.bytes) return carriages;
  const after: Carriage = { type: module.carriageType, version: ((before?.version ?? 0) + 1) >>> 0, bytes };
  const changed = [...carriages.filter((carriage) => carriage !== before), after].sort((a, b) => a.type - b.type);
  if (fits(changed)) return changed;
  core.count("carriage_too_large");
  core.log("warn", "ring_carriage_too_large", { carriage: module.carriageType, bytes: bytes.length });
  return carriages;
}

function runModule(
  core: Core,
  module: TokenModule,
  ctx: TokenContext,
  bytes: Uint8Array | undefined,
): Uint8Array | undefined {
  try {
    return module.onToken(ctx, bytes);
  } catch (error) {
    core.count("module_failed");
    core.log("warn", "ring_module_failed", { carriage: module.carriageType, error: String(error) });
    return undefined;
  }
}

function fits(carriages: readonly Carriage[]): boolean {
  if (carriages.length > CARRIAGES_MAX) return false;
  const bytes = carriages.reduce((sum, carriage) => sum + CARRIAGE_HEAD_BYTES + carriage.bytes.length, 0);
  return bytes + TOKEN_HEAD_BYTES_MAX <= TOKEN_BYTES_MAX;
}
