// One core alone, driven by hand, its peers made up by the test: how it comes to be, what it sends, and a module that
// notes its visits. Used by the tests beside it.
import assert from "node:assert/strict";
import {
  type Effect,
  type RaincoreConfig,
  RaincoreEngine,
  type TokenContext,
  type TokenModule,
} from "../../../lib/raincore/engine.js";
import { decode, encode, type Message } from "../../../lib/raincore/messages.js";
import { deriveTimers } from "../../../lib/raincore/timers.js";
import type { Token } from "../../../lib/raincore/token.js";

export const timers = deriveTimers(280);
export const STARTUP_WAIT_MS = 500;
export const START_MS = 1000;

export function newCore(
  modules: readonly TokenModule[] = [],
  peerIds: readonly number[] = [2, 3],
  change: Partial<RaincoreConfig> = {},
): RaincoreEngine {
  const peers = peerIds.map((nodeId) => ({ nodeId, paths: 1 }));
  return new RaincoreEngine(
    {
      cluster: "front",
      nodeId: 1,
      incarnation: 5n,
      peers,
      timers,
      startupWait_ms: STARTUP_WAIT_MS,
      modules,
      ...change,
    },
    { random: () => 0.5 },
  );
}

/** Ticks at every deadline until `until_ms`. */
export function runTo(core: RaincoreEngine, until_ms: number): Effect[] {
  const effects: Effect[] = [];
  while (core.deadline_ms <= until_ms) effects.push(...core.tick(core.deadline_ms));
  return effects;
}

export function newMember(modules: readonly TokenModule[] = []): RaincoreEngine {
  const core = newCore(modules);
  core.start(START_MS);
  runTo(core, START_MS + STARTUP_WAIT_MS + 3 * timers.rotation_ms);
  assert.equal(core.status().state, "member");
  return core;
}

export function sentIn(effects: readonly Effect[]): { readonly to: number; readonly message: Message }[] {
  return effects.flatMap((effect) => {
    if (effect.type !== "send") return [];
    const result = decode(effect.bytes);
    assert.ok(result.ok);
    return [{ to: effect.to, message: result.message }];
  });
}

export function tokenFor(core: RaincoreEngine, change: Partial<Token> = {}): Token {
  const members = [2, 1].map((nodeId) => ({ nodeId, incarnation: 5n, session: 1, ready: true, passed_ms: undefined }));
  return {
    epoch: core.status().epoch + 1,
    origin: 2,
    seq: 1,
    members,
    carriages: [],
    hurry: 0,
    rested_ms: 0,
    ...change,
  };
}

/** Makes this node a member of a view of node 2 that passes the token on at once; that token. */
export function passedOn(core: RaincoreEngine, at_ms: number, change: Partial<Token> = {}): Token {
  core.start(START_MS);
  const effects = core.receive(at_ms, 2, 0, encode({ type: "token", token: tokenFor(core, { hurry: 2, ...change }) }));
  const passed = sentIn(effects).find(({ message }) => message.type === "token")?.message;
  assert.ok(passed?.type === "token");
  return passed.token;
}

export class Recorder implements TokenModule {
  readonly carriage: string;
  readonly format: number = 1;
  readonly bytesMax: number = 50_000;
  readonly contexts: TokenContext[] = [];
  lost = 0;
  readonly #answer: (bytes: Uint8Array | undefined) => Uint8Array | undefined;

  constructor(carriage: string, answer: (bytes: Uint8Array | undefined) => Uint8Array | undefined) {
    this.carriage = carriage;
    this.#answer = answer;
  }

  onToken(ctx: TokenContext, bytes: Uint8Array | undefined): Uint8Array | undefined {
    this.contexts.push(ctx);
    return this.#answer(bytes);
  }

  onLost(): void {
    this.lost += 1;
  }
}
