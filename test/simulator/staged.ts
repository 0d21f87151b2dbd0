// A world whose nodes have exact clocks, and in which things are done at chosen moments: for what a seed would draw once in a million. Used by
// rivals.test.ts.
import type { VipConfig } from "../../lib/vip/policy.js";
import { FAIR_WEATHER } from "./network.js";
import { CALM_ROUNDS_OF, type RingKind } from "./nodeOptions.js";
import type { Quorum } from "./plan.js";
import { World } from "./world.js";

export interface Stage {
  readonly world: World;
  /** Times are in units of the fail-over target, from the moment when `holder` has the token. */
  now_u(): number;
  at(moment_u: number, act: () => void): void;
  /** A node is stopped, and goes on with what it got meanwhile. */
  stall(nodeId: number, from_u: number, to_u: number): void;
  /** The same, and what it got is lost. */
  deafen(nodeId: number, from_u: number, to_u: number): void;
}

export interface StageOptions {
  readonly seed: number;
  readonly nodeIds: readonly number[];
  /** Started in this order, each when the one before is a member. */
  readonly started: readonly number[];
  /** The token rests here at the beginning, and came from `previous`. */
  readonly holder: number;
  readonly previous?: number;
  readonly vips?: readonly VipConfig[];
  readonly quorum?: Quorum;
  readonly ring?: RingKind;
  /** Of a process that ends the machine tells that nobody has its port. */
  readonly machinesLive?: boolean;
}

export function stage({
  seed,
  nodeIds,
  started,
  holder,
  previous,
  vips,
  quorum,
  ring,
  machinesLive,
}: StageOptions): Stage {
  const nodes = nodeIds.map((nodeId) => {
    return { nodeId, startAt_ms: 0, clockRate: 1, clockOffset_ms: 1000 * nodeId, timerLateness_ms: 0, nearWrap: false };
  });
  const world = new World({
    ...{ seed, nodes, failoverTarget_ms: 280, timerLateness_ms: 0, machinesLive: machinesLive ?? false },
    calmRounds: CALM_ROUNDS_OF[ring ?? "loud"],
    ...(vips === undefined ? {} : { vips }),
    ...(quorum === undefined ? {} : { quorum }),
  });
  world.network.weather = { ...FAIR_WEATHER, delay_ms: [0.1, 0.1] };
  for (const nodeId of started) {
    world.node(nodeId).start();
    world.run(1000);
  }
  const isBefore = (nodeId: number | undefined) => (previous === undefined ? nodeId !== holder : nodeId === previous);
  world.runUntil(() => isBefore(world.holder?.nodeId), 500);
  world.runUntil(() => world.holder?.nodeId === holder, 500);
  const begin_ms = world.now_ms;
  const now_u = () => (world.now_ms - begin_ms) / world.unit_ms;
  const at = (moment_u: number, act: () => void) => world.after((moment_u - now_u()) * world.unit_ms, act);
  return {
    world,
    now_u,
    at,
    stall: (nodeId, from_u, to_u) => at(from_u, () => world.pause(nodeId, (to_u - from_u) * world.unit_ms)),
    deafen: (nodeId, from_u, to_u) => {
      at(from_u, () => world.node(nodeId).pause(true));
      at(to_u, () => world.node(nodeId).resume());
    },
  };
}
