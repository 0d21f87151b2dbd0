// What one simulated run is made of, as plain data: who takes part, the weather, and every fault with its time. Drawn by
// swarm.ts, shortened by shrink.ts, carried out by run.ts and faults.ts, printed for people.
import type { VipConfig } from "../../lib/vip/vipTable.js";
import type { FlowPlan } from "./flows/flows.js";
import type { Weather } from "./network.js";

/** What a run is to prove: nothing bad ever happens; a healed core becomes whole; or one after the other. */
export type Mode = "safety" | "liveness" | "both";

export type Quorum = { readonly policy: "available" } | { readonly policy: "majority"; readonly tieBreaker: number };

export interface NodePlan {
  readonly nodeId: number;
  readonly startAt_ms: number;
  /** How fast its clock runs; 1 is true time. */
  readonly clockRate: number;
  readonly clockOffset_ms: number;
  readonly timerLateness_ms: number;
  /** Sequence numbers that this node begins with are about to wrap. */
  readonly nearWrap: boolean;
}

/** What users do meanwhile: mean times between two operations anywhere; 0 = never. */
export interface Load {
  readonly multicastEvery_ms: number;
  readonly multicastBytes_max: number;
  readonly lockEvery_ms: number;
  readonly carriageEvery_ms: number;
  readonly messageEvery_ms: number;
  readonly messageBytes_max: number;
}

export const NO_LOAD: Load = {
  multicastEvery_ms: 0,
  multicastBytes_max: 0,
  lockEvery_ms: 0,
  carriageEvery_ms: 0,
  messageEvery_ms: 0,
  messageBytes_max: 0,
};

/** One thing that goes wrong; it ends by itself after `for_ms`. */
export type Fault =
  /** Process and data plane die; a new life starts after `down_ms`. */
  | { readonly kind: "crash"; readonly node: number; readonly down_ms: number }
  | { readonly kind: "crashHolder"; readonly down_ms: number }
  /** The same, and the wall clock is set back when the new life begins: it looks older than the one that died. */
  | { readonly kind: "clockBack"; readonly node: number; readonly down_ms: number }
  /** The process stops, its data plane goes on. */
  | {
      readonly kind: "pause";
      readonly node: number;
      readonly for_ms: number /** What comes meanwhile is lost. */;
      readonly isDeaf?: boolean;
    }
  | { readonly kind: "pauseHolder"; readonly for_ms: number }
  | { readonly kind: "pauseAll"; readonly for_ms: number; readonly spread_ms: number }
  /** Its timers and its sockets are served late. */
  | { readonly kind: "slow"; readonly node: number; readonly lateness_ms: number; readonly for_ms: number }
  /** Sides that do not hear each other at all; nodes of no side hear everybody. */
  | { readonly kind: "partition"; readonly sides: readonly (readonly number[])[]; readonly for_ms: number }
  | {
      readonly kind: "oneWayCut";
      readonly from: readonly number[];
      readonly to: readonly number[];
      readonly for_ms: number;
    }
  /** Cuts without any order: some nodes hear two that do not hear each other. */
  | {
      readonly kind: "tangle";
      readonly cuts: readonly { readonly from: number; readonly to: number }[];
      readonly for_ms: number;
    }
  /** What it sends waits in a queue, and comes all at once. */
  | { readonly kind: "jam"; readonly node: number; readonly for_ms: number }
  | {
      readonly kind: "deadPath";
      readonly from: number;
      readonly to: number;
      readonly path: number;
      readonly bothWays: boolean;
      readonly for_ms: number;
    }
  /** Only acknowledgements are lost. */
  | { readonly kind: "ackLoss"; readonly from: number; readonly to: number; readonly for_ms: number }
  | { readonly kind: "storm"; readonly weather: Weather; readonly for_ms: number }
  /** Recorded datagrams, of earlier lives too, are delivered again. */
  | { readonly kind: "replay"; readonly count: number; readonly for_ms: number }
  | { readonly kind: "flipBits"; readonly chance: number; readonly for_ms: number }
  | { readonly kind: "leave"; readonly node: number; readonly back_ms: number }
  | { readonly kind: "move"; readonly vip: number; readonly asked: number; readonly to: number }
  /** Some are told that a node's process has ended. It has not. */
  | { readonly kind: "rumour"; readonly of: number; readonly to: readonly number[] }
  /**
   * One node's monotonic clock jumps ahead, as after a machine was stopped. None goes back; and of the wall clock, which may, the ring knows only
   * what it says when a life begins: see `clockBack`.
   */
  | { readonly kind: "clockStep"; readonly node: number; readonly by_ms: number }
  /**
   * A node asks the others to be away. If they agree, its process ends after `lag_ms`, killed or by leaving, and its data plane goes on; a new life
   * starts `back_ms` after the agreement, which may be when the time is over already, or never.
   */
  | {
      readonly kind: "away";
      readonly node: number;
      readonly for_ms: number;
      readonly lag_ms: number;
      readonly isKilled: boolean;
      readonly back_ms: number | undefined;
    }
  /** A new cluster key: all nodes learn to open with it, then seal with it, then forget the old one, each step one node after the other. */
  | { readonly kind: "rollKeys"; readonly step_ms: number };

export type FaultKind = Fault["kind"];

export type PlannedFault = Fault & { readonly at_ms: number };

/** What has become of the nodes that are not healed at the end. */
export type Outside = "crashed" | "paused" | "cut";

export interface Scenario {
  readonly seed: number;
  readonly mode: Mode;
  readonly failoverTarget_ms: number;
  readonly startupWait_ms: number;
  readonly packetBytes_max: number;
  readonly calmRounds: number;
  readonly quorum: Quorum;
  readonly nodes: readonly NodePlan[];
  readonly vips: readonly VipConfig[];
  readonly weather: Weather;
  readonly load: Load;
  /** In order of time; all begin before `faultsEnd_ms`. */
  readonly faults: readonly PlannedFault[];
  readonly faultsEnd_ms: number;
  /** The nodes that are healed at the end and must become whole. */
  readonly core: readonly number[];
  readonly outside: Outside;
  /** Undefined: no connections go through the nodes. */
  readonly flows?: FlowPlan | undefined;
}

/** For people: one line for the set-up, one for every fault. */
export function describeScenario(scenario: Scenario): string[] {
  const { seed, mode, quorum, nodes, core, outside } = scenario;
  const ids = nodes.map((node) => node.nodeId);
  const starts = nodes.map(
    (node) => `${node.nodeId}@${round(node.startAt_ms)}${node.nearWrap ? " (seq near wrap)" : ""}`,
  );
  const vips = scenario.vips.map(
    (vip) => `${vip.address}/${vip.persistence}${vip.preferredHost ? `→${vip.preferredHost}` : ""}`,
  );
  const left = ids.filter((id) => !core.includes(id));
  const healed = left.length === 0 ? "all are healed" : `${core.join(",")} are healed, ${left.join(",")} ${outside}`;
  const majority = quorum.policy === "majority" ? ` (tie breaker ${quorum.tieBreaker})` : "";
  return [
    `seed ${seed}, mode ${mode}, failoverTarget ${scenario.failoverTarget_ms} ms, startupWait ${round(scenario.startupWait_ms)} ms, quorum ${quorum.policy}${majority}`,
    `nodes start at ms: ${starts.join(", ")}`,
    `VIPs (address/flag→preferred): ${vips.join(", ")}`,
    `weather: ${compact(scenario.weather)}`,
    `load: ${compact(scenario.load)}`,
    ...(scenario.flows === undefined ? [] : [`flows: ${compact(scenario.flows)}`]),
    ...scenario.faults.map((fault) => `${fixed(fault.at_ms)}  ${describeFault(fault)}`),
    `${fixed(scenario.faultsEnd_ms)}  end of faults: ${healed}`,
  ];
}

export function describeFault(fault: Fault): string {
  const { kind } = fault;
  const rest: Record<string, unknown> = { ...fault };
  delete rest.kind;
  delete rest.at_ms;
  return `${kind} ${compact(rest)}`;
}

function compact(value: object): string {
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "number" ? round(inner) : inner));
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function fixed(at_ms: number): string {
  return at_ms.toFixed(1).padStart(9);
}
