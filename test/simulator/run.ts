// Runs one scenario from start to verdict. Called by worker.ts for seeds, by shrink.ts for shortened plans, by main.ts for
// traces, and by tests.

import { AWAY_PATIENCE_U } from "./away.js";
import type { Violation } from "./checkers/checker.js";
import { Conversation } from "./conversation.js";
import { healCore, planFaults } from "./faults.js";
import { Trial } from "./flows/trial.js";
import type { SimNode } from "./node.js";
import type { FaultKind, Quorum, Scenario } from "./plan.js";
import { Random } from "./random.js";
import { Livelock, type Tracer, World } from "./world.js";

export type Verdict = "ok" | "crash" | "liveness" | "correctness";

export interface Outcome {
  readonly seed: number;
  readonly verdict: Verdict;
  /** What was wrong, for people; the first of several. */
  readonly what: string;
  readonly violations: readonly Violation[];
  readonly hash: string;
  /** From the end of the faults until the core was whole; undefined if it was not looked at. */
  readonly settled_ms: number | undefined;
  readonly target_ms: number;
  readonly simulated_ms: number;
  readonly node_ms: number;
  readonly events: number;
  readonly datagrams: number;
  readonly faults: Partial<Record<FaultKind, number>>;
  /** What users got done, so that a run that tests nothing shows. */
  readonly work: Readonly<Record<string, number>>;
}

/** It must stay whole for so many units. */
const STABLE_U = 40;
/** Of a larger core, only its views are told. */
const DESCRIBED_MAX = 16;

export function runScenario(scenario: Scenario, tracer?: Tracer): Outcome {
  const world = newWorld(scenario);
  world.tracer = tracer;
  const run = new Run(scenario, world);
  try {
    run.all();
  } catch (error) {
    return run.outcome(error instanceof Livelock ? "liveness" : "crash", describeError(error));
  }
  const [violation] = world.checker.violations;
  if (violation !== undefined) return run.outcome("correctness", `${violation.family}: ${violation.what}`);
  return run.outcome(run.failure === undefined ? "ok" : "liveness", run.failure ?? "");
}

function newWorld(scenario: Scenario): World {
  const { seed, nodes, vips, failoverTarget_ms, startupWait_ms, packetBytes_max, calmRounds, quorum, faults, flows } =
    scenario;
  const world = new World({
    seed,
    nodes,
    vips,
    failoverTarget_ms,
    startupWait_ms,
    packetBytes_max,
    calmRounds,
    quorum,
    flows,
    isSealed: true,
    mayBeAway: faults.some(({ kind }) => kind === "away"),
  });
  world.network.weather = scenario.weather;
  world.network.isRecording = scenario.faults.some((fault) => fault.kind === "replay");
  return world;
}

class Run {
  failure: string | undefined;
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #faults: Partial<Record<FaultKind, number>> = {};
  #settled_ms: number | undefined;

  constructor(scenario: Scenario, world: World) {
    this.#scenario = scenario;
    this.#world = world;
  }

  all(): void {
    const { mode, nodes, faults, faultsEnd_ms } = this.#scenario;
    const world = this.#world;
    for (const plan of nodes) {
      world.at(plan.startAt_ms, () => {
        const node = world.node(plan.nodeId);
        if (!node.isUp && !world.isHealed) node.start();
      });
    }
    planFaults(world, faults, ({ kind }) => {
      this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    });
    world.users.begin(this.#scenario.load, faultsEnd_ms);
    world.flows?.begin(faultsEnd_ms);
    this.#runUnlessViolated(faultsEnd_ms);
    if (mode !== "safety" && world.checker.violations.length === 0) this.#heal();
  }

  outcome(verdict: Verdict, what: string): Outcome {
    const world = this.#world;
    return {
      seed: this.#scenario.seed,
      verdict,
      what,
      violations: world.checker.violations,
      hash: world.traceHash,
      settled_ms: this.#settled_ms,
      target_ms: this.#scenario.failoverTarget_ms,
      simulated_ms: world.now_ms,
      node_ms: world.now_ms * this.#scenario.nodes.length,
      events: world.events,
      datagrams: world.network.sent,
      faults: this.#faults,
      work: { ...world.users.work, ...world.flows?.figures, idle_visits: idleVisits(world) },
    };
  }

  /** Nobody reads what follows the first violation. */
  #runUnlessViolated(duration_ms: number): void {
    this.#world.runUntil(() => this.#world.checker.violations.length > 0, duration_ms);
  }

  /** The healed core must become whole within the bound, stay so, and serve its users. */
  #heal(): void {
    const world = this.#world;
    const core = this.#core();
    world.say(`end of faults: ${core.map((node) => node.nodeId).join(",")} are healed`);
    healCore(world, core, this.#scenario.outside);
    const isQuorate = hasQuorum(this.#scenario.quorum, core.length, this.#scenario.nodes.length, core);
    this.#settled_ms = this.#becomesWhole(core, isQuorate);
    if (this.#settled_ms === undefined) return;
    // What was under way when the faults ended may cost it a lease once, and the wait that follows: it must come back, and stay.
    const stays = this.#staysWhole(core, isQuorate);
    if (!stays && this.#becomesWhole(core, isQuorate) !== undefined) this.#staysWhole(core, isQuorate);
    if (this.failure !== undefined || world.checker.violations.length > 0) return;
    this.failure = world.users.probe(core, isQuorate);
    if (this.failure === undefined && world.checker.violations.length === 0)
      this.failure = new Conversation(world, core, Random.for(this.#scenario.seed, 9)).run();
    if (isQuorate && this.failure === undefined && world.checker.violations.length === 0) this.#tryFlows(core);
  }

  #tryFlows(core: readonly SimNode[]): void {
    const world = this.#world;
    const { quorum, nodes, seed } = this.#scenario;
    if (world.flows === undefined) return;
    const isQuorate = (some: readonly SimNode[]): boolean => hasQuorum(quorum, some.length, nodes.length, some);
    const host = { bound_ms: settleBound_ms(world), isQuorate };
    this.failure = new Trial(world, world.flows, core, Random.for(seed, 23), host).run();
  }

  /** How long that took. Undefined: it did not, as `failure` says, or an invariant broke. */
  #becomesWhole(core: readonly SimNode[], isQuorate: boolean): number | undefined {
    const world = this.#world;
    const bound_ms = settleBound_ms(world) + this.#absence_ms;
    const isWhole = () =>
      world.checker.violations.length > 0 || (world.isWhole(core, isQuorate) && world.isEverybodyBack(core));
    const took_ms = world.runUntil(everyNth(isWhole, core.length), bound_ms);
    if (world.checker.violations.length > 0) return undefined;
    if (took_ms === undefined)
      this.failure = `not whole within ${bound_ms.toFixed(0)} ms: ${describeNodes(world, core)}`;
    return took_ms;
  }

  /** False: it did not, or an invariant broke; `failure` says the former. */
  #staysWhole(core: readonly SimNode[], isQuorate: boolean): boolean {
    const world = this.#world;
    this.failure = undefined;
    // The first lease in a new view may count from a hand-over in an older one.
    const steady_ms = world.now_ms + 2 * world.timers.rotation_ms;
    this.#runUnlessViolated(STABLE_U * world.timers.unit_ms);
    if (world.checker.violations.length > 0) return false;
    if (!world.isWhole(core, isQuorate)) this.failure = `did not stay whole: ${describeNodes(world, core)}`;
    else if (isQuorate && core.some(({ lapses_ms }) => lapses_ms.some((ranOut_ms) => ranOut_ms >= steady_ms)))
      this.failure = `did not keep its leases: ${describeNodes(world, core)}`;
    return this.failure === undefined;
  }

  /** How long one can last that was asked for until now. */
  get #absence_ms(): number {
    const asked_ms = this.#scenario.faults.map((fault) => (fault.kind === "away" ? fault.for_ms : 0));
    const longest_ms = Math.max(0, ...asked_ms);
    return longest_ms === 0 ? 0 : longest_ms + AWAY_PATIENCE_U * this.#world.unit_ms;
  }

  #core(): SimNode[] {
    const core = this.#scenario.core.map((nodeId) => this.#world.findNode(nodeId));
    const found = core.filter((node) => node !== undefined) as SimNode[];
    return found.length > 0 ? found : [...this.#world.nodes];
  }
}

/** Looking at a large core costs as much as many events. */
function everyNth(condition: () => boolean, size: number): () => boolean {
  const every = Math.ceil(size / 8);
  let count = 0;
  return () => ++count % every === 0 && condition();
}

/**
 * Nodes that start at the end form no group while one exists; if none does, they wait for each other, the one that waits for a lower
 * nodeId for up to three startup waits.
 */
export function settleBound_ms(world: World): number {
  return 5 * world.startupWait_ms + 4 * world.timers.bound_ms;
}

export function hasQuorum(quorum: Quorum, size: number, all: number, core: readonly { nodeId: number }[]): boolean {
  if (quorum.policy === "available" || 2 * size > all) return true;
  return 2 * size === all && core.some((node) => node.nodeId === quorum.tieBreaker);
}

function describeNodes(world: World, core: readonly SimNode[]): string {
  const nodes = core.length > DESCRIBED_MAX ? describeViews(core) : core.map(describeNode);
  const owners = world.addresses.map((address) => `${address} by ${world.answering(address).join(",") || "nobody"}`);
  return [...nodes, ...owners].join("; ");
}

function describeNode({ nodeId, isUp, status: { state, epoch, origin, members } }: SimNode): string {
  const ids = members.map((member) => `${member.nodeId}${member.ready ? "" : "?"}`);
  return `${nodeId} ${isUp ? state : "down"} ${epoch}/${origin} [${ids.join(",")}]`;
}

/** How many nodes are in which view, the largest ones first. */
function describeViews(core: readonly SimNode[]): string[] {
  const counts = new Map<string, number>();
  for (const { isUp, status } of core) {
    const { state, epoch, origin, members } = status;
    const ready = members.filter((member) => member.ready).length;
    const view = state === "member" ? ` ${epoch}/${origin} of ${members.length}, ${ready} ready` : "";
    const what = isUp ? `${state}${view}` : "down";
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const largest = [...counts].sort((a, b) => b[1] - a[1]).slice(0, DESCRIBED_MAX);
  return largest.map(([what, count]) => `${count} nodes ${what}`);
}

/** Of the lives that last: how often the token went its short way, which users do not see. */
function idleVisits(world: World): number {
  return world.nodes.reduce((sum, { status }) => sum + (status.counters.token_idle ?? 0), 0);
}

function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
