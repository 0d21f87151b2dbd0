// A plan of faults drawn from a seed: what can go wrong with processes, clocks' owners and the network, at random times.
// Everything is mended at the end of the plan.
import { FAIR_WEATHER, type Weather } from "./network.js";
import { PATHS } from "./node.js";
import type { World } from "./world.js";

export type Fault = (world: World) => void;

/** Faults begin within `duration_ms` from now; afterwards all nodes run, and the network is whole again. */
export function planFaults(world: World, duration_ms: number, faults: readonly Fault[] = ALL_FAULTS): void {
  const { random, timers } = world;
  const end_ms = world.now_ms + duration_ms;
  let at_ms = world.now_ms;
  for (;;) {
    at_ms += random.between(timers.unit_ms, 4 * timers.lease_ms);
    if (at_ms >= end_ms) break;
    const fault = random.pick(faults);
    world.at(at_ms, () => fault(world));
  }
  world.at(end_ms, () => mendAll(world));
}

function mendAll(world: World): void {
  world.network.heal();
  for (const node of world.nodes) {
    if (!node.isUp || node.status.state === "closed") node.start();
    else node.resume();
  }
}

function span_ms(world: World, from_u: number, to_u: number): number {
  return world.random.between(from_u, to_u) * world.timers.unit_ms;
}

function someNode(world: World): number {
  return world.random.pick(world.nodes).nodeId;
}

function somePair(world: World): [number, number] {
  const a = someNode(world);
  return [a, world.random.pick(world.nodes.filter((node) => node.nodeId !== a)).nodeId];
}

const crash: Fault = (world) => {
  const node = world.node(someNode(world));
  if (!node.isUp) return;
  node.crash();
  world.after(span_ms(world, 1, 60), () => {
    if (!node.isUp) node.start();
  });
};

const shortPause: Fault = (world) => world.pause(someNode(world), span_ms(world, 0.5, 20));

const longPause: Fault = (world) => world.pause(someNode(world), span_ms(world, 15, 120));

const partition: Fault = (world) => {
  const ids = world.nodes.map((node) => node.nodeId);
  const side = ids.filter(() => world.random.chance(0.5));
  const other = ids.filter((id) => !side.includes(id));
  world.network.cutBetween(side, other);
  world.after(span_ms(world, 2, 100), () => world.network.mendBetween(side, other));
};

const oneWayCut: Fault = (world) => {
  const [from, to] = somePair(world);
  world.network.cut(from, to);
  world.after(span_ms(world, 2, 60), () => world.network.mend(from, to));
};

const deadPath: Fault = (world) => {
  const [from, to] = somePair(world);
  world.network.cutPath(from, to, world.random.integer(0, PATHS - 1), PATHS);
};

const ackLoss: Fault = (world) => world.network.loseAcks(...somePair(world));

const storm: Fault = (world) => {
  const { random, timers } = world;
  const weather: Weather = {
    delay_ms: [0.05, random.between(0.1, timers.unit_ms / 4)],
    loss: random.between(0, 0.25),
    duplicate: random.between(0, 0.3),
    straggle: random.between(0, 0.1),
    straggle_ms: 4 * timers.unit_ms,
  };
  world.network.weather = weather;
  world.after(span_ms(world, 10, 80), () => {
    if (world.network.weather === weather) world.network.weather = FAIR_WEATHER;
  });
};

const leave: Fault = (world) => {
  const node = world.node(someNode(world));
  if (!node.isUp) return;
  node.leave();
  world.after(span_ms(world, 25, 60), () => {
    if (node.isUp && node.status.state === "closed") node.start();
  });
};

const move: Fault = (world) => {
  const node = world.node(someNode(world));
  if (node.isUp) node.vip.requestMove(world.random.pick(world.addresses), someNode(world));
};

export const ALL_FAULTS: readonly Fault[] = [
  crash,
  shortPause,
  longPause,
  partition,
  oneWayCut,
  deadPath,
  ackLoss,
  storm,
  leave,
  move,
  move,
];
/** No partitions and no one-way cuts, so there is no excuse at all for two owners. */
export const CONNECTED_FAULTS: readonly Fault[] = [
  crash,
  shortPause,
  longPause,
  deadPath,
  ackLoss,
  storm,
  leave,
  move,
  move,
];
