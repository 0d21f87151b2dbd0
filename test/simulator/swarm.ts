// Draws a whole scenario from a seed: not only when faults come, but which kinds exist at all, how many nodes, whose
// clocks, which policies. Runs that differ in kind find what runs of one mixture never reach. Called by run.ts.
import { deriveTimers, leastTarget_ms } from "../../lib/raincore/timers.js";
import type { Persistence, VipConfig } from "../../lib/vip/vipTable.js";
import { drawApart } from "./apart.js";
import type { Span } from "./combinations.js";
import { FAIR_WEATHER, type Weather } from "./network.js";
import type { Fault, FaultKind, Load, Mode, NodePlan, Outside, PlannedFault, Quorum, Scenario } from "./plan.js";
import { NO_LOAD } from "./plan.js";
import { Random } from "./random.js";
import { PATHS } from "./wire.js";
import { FREE_VIPS } from "./world.js";

export interface SwarmOptions {
  readonly mode: Mode;
  /** A fixed number of nodes instead of a drawn one. */
  readonly nodes?: number | undefined;
  /** Of the kinds of faults; default: all there are. */
  readonly generation?: number | undefined;
  /** Connections go through the nodes; default: none do. */
  readonly flows?: boolean | undefined;
}

const NODE_COUNTS: readonly (readonly [number, number])[] = [
  [2, 3],
  [3, 5],
  [4, 3],
  [5, 4],
  [6, 2],
  [7, 1],
  [8, 1],
  [9, 1],
];
const TARGETS_MS: readonly number[] = [50, 100, 150, 150, 150, 250, 500];
const DRIFTS: readonly number[] = [0, 200e-6, 1000e-6];
const FLAGS: readonly Persistence[] = [0, 0, 1, 3];
/** Mostly so few that a ring becomes calm between faults. */
const CALM_ROUNDS = [0, 0, 2, 8, 32, 256];
const PACKET_BYTES: readonly number[] = [600, 1400, 1400, 8000];
const FAULTS_MAX = 60;
const VIPS_DRAWN_MAX = 6;
const LARGE = 64;
const FLOW_LABEL = 22;

/** What FaultDraw draws; apart.ts and combinations.ts have the others. */
type DrawnKind = Exclude<FaultKind, "rollKeys" | "tangle" | "jam" | "rumour" | "clockBack" | "away">;

/** Without these there is no excuse for two owners of a VIP. */
const PARTING_KINDS: readonly DrawnKind[] = ["partition", "oneWayCut"];

export function drawScenario(seed: number, options: SwarmOptions): Scenario {
  const scenario = drawRing(seed, options);
  return options.flows === true ? withFlows(scenario) : scenario;
}

function drawRing(seed: number, options: SwarmOptions): Scenario {
  const random = Random.for(seed, 0);
  const count = options.nodes ?? random.weighted(NODE_COUNTS);
  const target_ms = Math.max(random.pick(TARGETS_MS), leastTarget_ms(count));
  const timers = deriveTimers(target_ms, count);
  const u = timers.unit_ms;
  const startupWait_ms = Math.max(timers.startupWaitMin_ms, random.between(200, 600));
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  const isStaggered = random.chance(0.3);
  const drift = random.pick(DRIFTS);
  const lateness_ms = random.pick([0.1, 0.3, 1]) * Math.min(u, 4);
  const isNearWrap = random.chance(0.2);
  const nodes: NodePlan[] = ids.map((nodeId) => ({
    nodeId,
    startAt_ms: isStaggered ? random.between(0, 3 * startupWait_ms) : 0,
    clockRate: 1 + random.between(-drift, drift),
    clockOffset_ms: random.between(0, 1e9),
    timerLateness_ms: lateness_ms,
    nearWrap: isNearWrap && random.chance(0.7),
  }));
  const faultsStart_ms = random.chance(0.8) || count > LARGE ? startupWait_ms + timers.bound_ms : 0;
  const faultsEnd_ms = faultsStart_ms + random.between(100, 500) * u;
  const draw = new FaultDraw(random, ids, u, Math.min(VIPS_DRAWN_MAX, 1 + random.integer(0, 5)));
  const span: Span = { start_ms: faultsStart_ms, end_ms: faultsEnd_ms, unit_ms: u, lease_ms: timers.lease_ms };
  const drawn: Scenario = {
    seed,
    mode: options.mode,
    failoverTarget_ms: target_ms,
    startupWait_ms,
    packetBytes_max: random.pick(PACKET_BYTES),
    // Its own draw, so that the rest of a seed stays what it was.
    calmRounds: Random.for(seed, 4).pick(CALM_ROUNDS),
    quorum: drawQuorum(random, ids),
    nodes,
    vips: drawVips(random, ids, draw.vips),
    weather: random.chance(0.7) ? FAIR_WEATHER : drawWeather(random, u / 2, 0.05),
    load: drawLoad(random, u),
    ...drawCourse(random, ids, draw, span),
    outside: random.pick<Outside>(["crashed", "paused", "cut"]),
  };
  if (count > LARGE) return drawn;
  const faults = [...drawn.faults, ...drawApart(drawn, span, options.generation)].sort((a, b) => a.at_ms - b.at_ms);
  return { ...drawn, faults };
}

/** All else is drawn as without them. Nobody is absent by agreement: what the nodes know of flows meanwhile is not modelled. */
function withFlows(scenario: Scenario): Scenario {
  const { seed, failoverTarget_ms, nodes, vips, faults } = scenario;
  const random = Random.for(seed, FLOW_LABEL);
  const { unit_ms } = deriveTimers(failoverTarget_ms, nodes.length);
  const missing = FREE_VIPS.filter(({ segment }) => vips.every((vip) => vip.segment !== segment));
  return {
    ...scenario,
    vips: [...vips, ...missing],
    faults: faults.filter(({ kind }) => kind !== "away"),
    flows: {
      assignment: random.pick(["receiver", "balanced"] as const),
      keepConnections: random.chance(0.5),
      openEvery_ms: random.logBetween(2, 40) * unit_ms,
    },
  };
}

/** What happens, and who is healed at the end. A round of so many nodes is a lot of work: of a large cluster, one dies and comes back. */
function drawCourse(
  random: Random,
  ids: readonly number[],
  draw: FaultDraw,
  { start_ms, end_ms, unit_ms }: Span,
): Pick<Scenario, "faults" | "faultsEnd_ms" | "core"> {
  if (ids.length <= LARGE) {
    return { faults: draw.plan(start_ms, end_ms), faultsEnd_ms: end_ms, core: drawCore(random, ids) };
  }
  const crash = { at_ms: start_ms, kind: "crash", node: random.pick(ids), down_ms: 30 * unit_ms } as const;
  return { faults: [crash], faultsEnd_ms: start_ms + 40 * unit_ms, core: [...ids] };
}

function drawQuorum(random: Random, ids: readonly number[]): Quorum {
  if (random.chance(0.6)) return { policy: "available" };
  return { policy: "majority", tieBreaker: random.pick(ids) };
}

/** Most runs heal everybody; the others any core that the policy lets serve. */
function drawCore(random: Random, ids: readonly number[]): number[] {
  if (random.chance(0.6)) return [...ids];
  const size = random.integer(1, ids.length);
  return random
    .shuffled(ids)
    .slice(0, size)
    .sort((a, b) => a - b);
}

function drawVips(random: Random, ids: readonly number[], count: number): VipConfig[] {
  return Array.from({ length: count }, (_, index) => {
    const isExternal = random.chance(0.5);
    return {
      address: isExternal ? `192.0.2.${101 + index}` : `10.77.0.${101 + index}`,
      segment: isExternal ? "external" : "internal",
      persistence: random.pick(FLAGS),
      preferredHost: random.chance(0.5) ? random.pick(ids) : 0,
    };
  });
}

function drawLoad(random: Random, u: number): Load {
  if (random.chance(0.3)) return NO_LOAD;
  const every_ms = (chance: number) => (random.chance(chance) ? random.logBetween(1.5, 40) * u : 0);
  return {
    multicastEvery_ms: every_ms(0.7),
    multicastBytes_max: random.pick([16, 200, 200, 2000, 2000, 50_000]),
    lockEvery_ms: every_ms(0.7),
    carriageEvery_ms: every_ms(0.5),
    messageEvery_ms: every_ms(0.6),
    messageBytes_max: random.pick([16, 1000, 20_000]),
  };
}

/** Up to `delay_ms` and `loss`; light enough that resends on two paths get through in time. */
function drawWeather(random: Random, delay_ms: number, loss: number): Weather {
  return {
    delay_ms: [0.05, random.between(0.1, Math.max(0.2, delay_ms / 2))],
    loss: random.between(0, loss),
    duplicate: random.pick([0, random.between(0, 0.3)]),
    straggle: random.pick([0, random.between(0, 0.1)]),
    straggle_ms: random.logBetween(1, 80) * 2 * delay_ms,
    isPartition: false,
  };
}

/** Draws the faults of one run. */
class FaultDraw {
  readonly vips: number;
  readonly #random: Random;
  readonly #ids: readonly number[];
  readonly #u: number;

  constructor(random: Random, ids: readonly number[], unit_ms: number, vips: number) {
    this.#random = random;
    this.#ids = ids;
    this.#u = unit_ms;
    this.vips = vips;
  }

  plan(start_ms: number, end_ms: number): PlannedFault[] {
    const random = this.#random;
    const kinds = this.#drawKinds();
    if (kinds.length === 0) return [];
    const every_ms = random.logBetween(4, 100) * this.#u;
    const faults: PlannedFault[] = [];
    let at_ms = start_ms;
    while (faults.length < FAULTS_MAX) {
      at_ms += random.between(0, 2 * every_ms);
      if (at_ms >= end_ms) break;
      faults.push({ at_ms, ...this.#make[random.weighted(kinds)]() });
    }
    return faults;
  }

  /** Each kind is in or out, and more or less frequent. */
  #drawKinds(): (readonly [DrawnKind, number])[] {
    const isConnected = this.#random.chance(0.45);
    const kinds = Object.keys(this.#make) as DrawnKind[];
    return kinds
      .map((kind) => [kind, this.#random.chance(0.45) ? this.#random.logBetween(0.2, 3) : 0] as const)
      .filter(([kind, weight]) => weight > 0 && !(isConnected && PARTING_KINDS.includes(kind)));
  }

  #span_ms(from_u: number, to_u: number): number {
    return this.#random.logBetween(from_u, to_u) * this.#u;
  }

  #node(): number {
    return this.#random.pick(this.#ids);
  }

  #pair(): { from: number; to: number } {
    const [from, to] = this.#random.shuffled(this.#ids);
    return { from: from ?? 1, to: to ?? from ?? 1 };
  }

  #sides(): number[][] {
    const count = this.#ids.length > 2 && this.#random.chance(0.25) ? 3 : 2;
    const sides: number[][] = Array.from({ length: count }, () => []);
    for (const id of this.#ids) sides[this.#random.integer(0, count - 1)]?.push(id);
    return sides;
  }

  readonly #make: Record<DrawnKind, () => Fault> = {
    crash: () => ({ kind: "crash", node: this.#node(), down_ms: this.#random.chance(0.3) ? 0 : this.#span_ms(1, 80) }),
    crashHolder: () => ({ kind: "crashHolder", down_ms: this.#random.chance(0.3) ? 0 : this.#span_ms(1, 80) }),
    pause: () => ({ kind: "pause", node: this.#node(), for_ms: this.#span_ms(0.5, 120) }),
    pauseHolder: () => ({ kind: "pauseHolder", for_ms: this.#span_ms(0.5, 120) }),
    pauseAll: () => ({
      kind: "pauseAll",
      for_ms: this.#span_ms(0.5, 80),
      spread_ms: this.#random.between(0, 3) * this.#u,
    }),
    slow: () => ({
      kind: "slow",
      node: this.#node(),
      lateness_ms: this.#span_ms(0.2, 8),
      for_ms: this.#span_ms(10, 100),
    }),
    partition: () => ({ kind: "partition", sides: this.#sides(), for_ms: this.#span_ms(1, 150) }),
    oneWayCut: () => {
      const [from, to] = this.#sides();
      return { kind: "oneWayCut", from: from ?? [], to: to ?? [], for_ms: this.#span_ms(1, 80) };
    },
    deadPath: () => ({
      kind: "deadPath",
      ...this.#pair(),
      path: this.#random.integer(0, PATHS - 1),
      bothWays: this.#random.chance(0.5),
      for_ms: this.#span_ms(5, 300),
    }),
    ackLoss: () => ({ kind: "ackLoss", ...this.#pair(), for_ms: this.#span_ms(5, 300) }),
    storm: () => {
      const isHeavy = this.#random.chance(0.2);
      const weather = isHeavy
        ? { ...drawWeather(this.#random, 8 * this.#u, 0.7), isPartition: true }
        : drawWeather(this.#random, this.#u / 2, 0.2);
      return { kind: "storm", weather, for_ms: this.#span_ms(5, 80) };
    },
    replay: () => ({ kind: "replay", count: this.#random.integer(1, 60), for_ms: this.#span_ms(1, 20) }),
    flipBits: () => ({ kind: "flipBits", chance: this.#random.between(0.01, 0.2), for_ms: this.#span_ms(1, 40) }),
    leave: () => ({ kind: "leave", node: this.#node(), back_ms: this.#span_ms(1, 80) }),
    move: () => ({
      kind: "move",
      vip: this.#random.integer(0, this.vips - 1),
      asked: this.#node(),
      to: this.#node(),
    }),
    clockStep: () => ({ kind: "clockStep", node: this.#node(), by_ms: this.#span_ms(0.5, 60) }),
  };
}
