// Connections that are held open while gateways die: each round opens them, kills the gateway that has many of them, waits until the others have
// taken over, revives it, and lets all connections come to their end. Used by the survive scenario, for the layer and for its peer.

import { connectionKey, readConntrack } from "./conntrack.js";
import type { Gateway } from "./gateway.js";
import type { HeldConnections } from "./heldDriver.js";
import type { HeldResult } from "./heldProtocol.js";
import type { Lab, Say } from "./lab.js";
import { errorsOf, type LostConnection, lookAtLost, survivedOf } from "./lostConnections.js";
import { OwnershipTotals } from "./ownershipTotals.js";
import { type Spread, spreadOf } from "./statistics.js";
import { silences } from "./takeover.js";
import { measureFor, now_ms } from "./waiting.js";

/** Connections have said something in both directions by then, and the others have been told. */
const SETTLE_MS = 2000;
/** What was lost in a transition is sent again by then. */
const AFTER_MS = 4000;
const FINISH_PATIENCE_MS = 15_000;

/** How the gateways behave, whatever makes a group of them. */
export interface Survivors {
  readonly name: string;
  /** Whom to kill this round. */
  victim(round: number): Promise<Gateway>;
  takenOver(dead: Gateway, killed_ms: number): Promise<void>;
  isBack(revived_ms: number): Promise<void>;
}

export interface SurvivalFigures {
  readonly rounds: number;
  readonly connections: number;
  readonly survived_ratio: number;
  readonly connections_of_dead_nodes: number;
  readonly survived_ratio_dead_node: number;
  readonly gap_ms: Spread;
  readonly gap_at_return_ms: Spread;
  readonly errors: Readonly<Record<string, number>>;
  readonly lost: readonly LostConnection[];
}

export interface Survival {
  readonly figures: SurvivalFigures;
  /** Who answered for the VIPs. */
  readonly owners: OwnershipTotals;
  /** Why a round said less than it was to, in words. */
  readonly problems: readonly string[];
}

export interface SurvivalRun {
  readonly lab: Lab;
  readonly held: HeldConnections;
  readonly rounds: number;
  readonly connections: number;
  readonly say: Say;
}

export async function survivalRounds(run: SurvivalRun, survivors: Survivors): Promise<Survival> {
  const { lab, held, rounds, connections, say } = run;
  const owners = new OwnershipTotals();
  const problems: string[] = [];
  /** Of the VIPs. */
  const gaps_ms: number[] = [];
  const gapsAtReturn_ms: number[] = [];
  const all = { total: 0, survived: 0 };
  const ofDead = { total: 0, survived: 0 };
  const ended: HeldResult[] = [];
  const lost: LostConnection[] = [];
  const half = Math.floor(connections / 2);
  for (let round = 1; round <= rounds; round++) {
    const gateway = await survivors.victim(round - 1);
    const opened = await held.open(half, connections - half);
    if (opened !== connections)
      problems.push(`round ${round}: ${opened} of ${connections} connections could be opened`);
    await measureFor(SETTLE_MS);
    const table = await readConntrack(gateway.host);
    const handled = new Set(table.filter(({ state }) => state === "ESTABLISHED").map(connectionKey));

    lab.resetTesters();
    const killed_ms = now_ms();
    await gateway.kill();
    await survivors.takenOver(gateway, killed_ms);
    await measureFor(AFTER_MS);
    gaps_ms.push(await longestSilence_ms(lab));
    owners.add(await lab.observe());
    gateway.bury();
    lab.resetTesters();
    const revived_ms = now_ms();
    await gateway.revive();
    await survivors.isBack(revived_ms);
    await measureFor(AFTER_MS);
    gapsAtReturn_ms.push(await longestSilence_ms(lab));
    owners.add(await lab.observe());

    const results = await held.finish(FINISH_PATIENCE_MS);
    const dead = results.filter((result) => handled.has(connectionKey(result)));
    if (dead.length === 0) problems.push(`round ${round}: ${gateway.plan.name} had no connection`);
    add(all, results);
    add(ofDead, dead);
    ended.push(...results);
    lost.push(...(await lookAtLost(lab, results)));
    say(
      `${survivors.name} ${round}/${rounds}: ${gateway.plan.name} killed, ${survivedOf(results)} of ${results.length} connections went on, ` +
        `${survivedOf(dead)} of ${dead.length} of its own`,
    );
  }
  const figures = {
    rounds,
    connections: all.total,
    survived_ratio: all.survived / all.total,
    connections_of_dead_nodes: ofDead.total,
    survived_ratio_dead_node: ofDead.survived / ofDead.total,
    gap_ms: spreadOf(gaps_ms),
    gap_at_return_ms: spreadOf(gapsAtReturn_ms),
    errors: errorsOf(ended),
    lost,
  };
  return { figures, owners, problems };
}

async function longestSilence_ms(lab: Lab): Promise<number> {
  return Math.max(...(await silences(lab)).gaps_ms);
}

function add(sum: { total: number; survived: number }, results: readonly HeldResult[]): void {
  sum.total += results.length;
  sum.survived += survivedOf(results);
}
