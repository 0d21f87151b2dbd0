// The carriages behind the token (the patent's figure 14): lets every module see and change its own. Called by the ring
// while it holds the token. A module that fails, or returns too much, leaves its carriage as it was; carriages without a
// module here, or of a newer layout than it knows, travel on untouched.
import { RainfrontError } from "../errors.js";
import type { Core } from "./core.js";
import { CARRIAGES_MAX, type Carriage, isCarriageName, TOKEN_BYTES_MAX, type Token } from "./token.js";
import type { Removed, TokenContext, TokenModule } from "./types.js";

export interface Visit {
  readonly removed: readonly Removed[];
  readonly tokenReceived_ms: number;
  readonly confirmed: boolean;
}

// Header and member records of the largest view.
const TOKEN_HEAD_BYTES_MAX = 16 + 256 * 24;
// Name, format, version and length.
const CARRIAGE_HEAD_BYTES_MAX = 48;

/**
 * Throws `RF_ARGUMENT` when the modules' carriages could outgrow the token together: what a module has put on it, it may have acted on, so no
 * carriage within its own limit may be refused.
 */
export function checkModules(modules: readonly TokenModule[]): void {
  const names = modules.map((module) => module.carriage);
  const bad = modules.find(({ carriage, format }) => !isCarriageName(carriage) || !(format >= 0 && format <= 0xff));
  if (bad !== undefined || new Set(names).size < names.length || names.length > CARRIAGES_MAX) {
    throw new RainfrontError(
      "RF_ARGUMENT",
      `modules: the carriages ${names.join(", ")} are not ${CARRIAGES_MAX} different ones at most`,
      {
        fix: "give every module a name of 1 to 32 of a-z 0-9 . - of its own, and a format of 0 to 255",
      },
    );
  }
  const bytes = modules.reduce((sum, module) => sum + CARRIAGE_HEAD_BYTES_MAX + module.bytesMax, TOKEN_HEAD_BYTES_MAX);
  if (bytes <= TOKEN_BYTES_MAX) return;
  throw new RainfrontError(
    "RF_ARGUMENT",
    `modules: their carriages may have ${bytes} bytes together, a token ${TOKEN_BYTES_MAX}`,
    {
      fix: "lower bytesMax of some of them",
    },
  );
}

export function visitModules(core: Core, token: Token, visit: Visit): Token {
  let isHastened = false;
  const ctx: TokenContext = {
    now_ms: core.now_ms,
    self: core.self,
    view: core.viewOf(token),
    confirmed: visit.confirmed,
    tokenReceived_ms: visit.tokenReceived_ms,
    removed: visit.removed,
    leaving: core.leaving,
    lease_ms: core.timers.lease_ms,
    leaseValid: core.leaseValid,
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
  const before = carriages.find((carriage) => carriage.name === module.carriage);
  if (before !== undefined && before.format > module.format) {
    core.count("carriage_newer");
    return carriages;
  }
  const result = runModule(core, module, ctx, before?.bytes);
  if (!result.ok || result.bytes === before?.bytes) return carriages;
  const others = carriages.filter((carriage) => carriage !== before);
  if (result.bytes === undefined) return others;
  const { carriage: name, format } = module;
  const after: Carriage = { name, format, version: ((before?.version ?? 0) + 1) >>> 0, bytes: result.bytes };
  const changed = [...others, after].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (result.bytes.length <= module.bytesMax && fits(changed)) return changed;
  core.count("carriage_too_large");
  core.log("warn", "ring_carriage_too_large", { carriage: name, bytes: result.bytes.length });
  return carriages;
}

type Outcome = { readonly ok: true; readonly bytes: Uint8Array | undefined } | { readonly ok: false };

function runModule(core: Core, module: TokenModule, ctx: TokenContext, bytes: Uint8Array | undefined): Outcome {
  try {
    return { ok: true, bytes: module.onToken(ctx, bytes) };
  } catch (error) {
    core.count("module_failed");
    core.log("warn", "ring_module_failed", { carriage: module.carriage, error: String(error) });
    return { ok: false };
  }
}

function fits(carriages: readonly Carriage[]): boolean {
  if (carriages.length > CARRIAGES_MAX) return false;
  const bytes = carriages.reduce((sum, carriage) => sum + CARRIAGE_HEAD_BYTES_MAX + carriage.bytes.length, 0);
  return bytes + TOKEN_HEAD_BYTES_MAX <= TOKEN_BYTES_MAX;
}
