// Carries out the faults of a plan. Each undoes itself when its time is over, so that any of them can be left out when a
// plan is shortened. A fault says whether it happened: one that finds nothing to act on does not count as injected.

import type { SimNode } from "./node.js";
import { describeFault, type Fault, type Outside, type PlannedFault } from "./plan.js";
import { PATHS } from "./wire.js";
import type { World } from "./world.js";

/** Plans every fault; `injected` is told of each that happened. */
export function planFaults(world: World, faults: readonly PlannedFault[], injected: (fault: Fault) => void): void {
  for (const fault of faults) {
    world.at(fault.at_ms, () => {
      const happened = inject(world, fault);
      world.say(`fault ${describeFault(fault)}${happened ? "" : " (nothing to act on)"}`);
      if (happened) injected(fault);
    });
  }
}

/** What undoes a fault is not done any more once the core is healed: that has undone everything. */
function later(world: World, delay_ms: number, undo: () => void): void {
  world.after(delay_ms, () => {
    if (!world.isHealed) undo();
  });
}

/** A wish to come in that is heard much later than its node died is rightly granted, and would be taken for a core that does not stay whole. */
const UNDER_WAY_U = 10;

/** All faults end; the core runs and is connected, whatever else does not. */
export function healCore(world: World, core: readonly SimNode[], outside: Outside): void {
  const others = world.nodes.filter((node) => !core.includes(node));
  world.isHealed = true;
  world.network.heal(UNDER_WAY_U * world.unit_ms);
  for (const node of world.nodes) node.slowness_ms = 0;
  for (const node of core) start(node);
  for (const node of others) {
    if (outside === "crashed") node.crash();
    else if (outside === "paused") node.pause();
    else start(node);
  }
  if (outside === "cut") {
    world.network.cutBetween(
      core.map((node) => node.nodeId),
      others.map((node) => node.nodeId),
    );
  }
}

function start(node: SimNode): void {
  if (!node.isUp || node.isLeaving || node.isAway) node.start();
  else node.resume();
}

function inject(world: World, fault: Fault): boolean {
  switch (fault.kind) {
    case "crash":
      return crash(world, world.findNode(fault.node), fault.down_ms);
    case "crashHolder":
      return crash(world, world.holder, fault.down_ms);
    case "clockBack":
      return crash(world, world.findNode(fault.node), fault.down_ms, true);
    case "pause":
      return pause(world, world.findNode(fault.node), fault.for_ms, fault.isDeaf);
    case "pauseHolder":
      return pause(world, world.holder, fault.for_ms);
    case "pauseAll":
      return pauseAll(world, fault);
    case "slow":
      return slow(world, fault);
    case "partition":
      return partition(world, fault);
    case "oneWayCut":
      return oneWayCut(world, fault);
    case "tangle":
      return tangle(world, fault);
    case "jam":
      return jam(world, fault);
    case "deadPath":
      return deadPath(world, fault);
    case "ackLoss":
      return ackLoss(world, fault);
    case "storm":
      return storm(world, fault);
    case "replay":
      return world.isSealed && world.network.replay(fault.count, fault.for_ms) > 0;
    case "flipBits":
      return flipBits(world, fault);
    case "leave":
      return leave(world, fault);
    case "move":
      return move(world, fault);
    case "rumour":
      return rumour(world, fault);
    case "clockStep":
      return clockStep(world, fault);
    case "away":
      return away(world, fault);
    case "rollKeys":
      return rollKeys(world, fault);
    default:
      return fault satisfies never;
  }
}

type Of<K extends Fault["kind"]> = Extract<Fault, { kind: K }>;

function crash(world: World, node: SimNode | undefined, down_ms: number, isSetBack = false): boolean {
  if (node === undefined || !(node.isUp || node.isHeld)) return false;
  const { life } = node;
  node.crash();
  const restart = () => {
    if (!node.isUp && node.life === life) node.start(isSetBack);
  };
  if (down_ms === 0) restart();
  else later(world, down_ms, restart);
  return true;
}

function pause(world: World, node: SimNode | undefined, for_ms: number, isDeaf = false): boolean {
  if (node === undefined || !node.isUp || node.isPaused) return false;
  node.pause(isDeaf);
  later(world, for_ms, () => node.resume());
  return true;
}

function pauseAll(world: World, { for_ms, spread_ms }: Of<"pauseAll">): boolean {
  let happened = false;
  for (const [index, node] of world.nodes.entries()) {
    const until_ms = for_ms + (spread_ms * index) / world.nodes.length;
    happened = pause(world, node, until_ms) || happened;
  }
  return happened;
}

function slow(world: World, { node: nodeId, lateness_ms, for_ms }: Of<"slow">): boolean {
  const node = world.findNode(nodeId);
  if (node === undefined || !node.isUp) return false;
  node.slowness_ms = lateness_ms;
  later(world, for_ms, () => {
    node.slowness_ms = 0;
  });
  return true;
}

function partition(world: World, { sides, for_ms }: Of<"partition">): boolean {
  const pairs = sides.flatMap((side, i) => sides.slice(i + 1).map((other) => [side, other] as const));
  for (const [side, other] of pairs) world.network.cutBetween(side, other);
  later(world, for_ms, () => {
    for (const [side, other] of pairs) world.network.mendBetween(side, other);
  });
  return sides.filter((side) => side.some((id) => world.findNode(id) !== undefined)).length > 1;
}

function oneWayCut(world: World, { from, to, for_ms }: Of<"oneWayCut">): boolean {
  for (const a of from) for (const b of to) world.network.cut(a, b);
  later(world, for_ms, () => {
    for (const a of from) for (const b of to) world.network.mend(a, b);
  });
  return from.length > 0 && to.length > 0;
}

function tangle(world: World, { cuts, for_ms }: Of<"tangle">): boolean {
  for (const { from, to } of cuts) world.network.cut(from, to);
  later(world, for_ms, () => {
    for (const { from, to } of cuts) world.network.mend(from, to);
  });
  return cuts.length > 0;
}

function jam(world: World, { node, for_ms }: Of<"jam">): boolean {
  if (world.findNode(node) === undefined) return false;
  world.network.jam(node, for_ms);
  return true;
}

function deadPath(world: World, { from, to, path, bothWays, for_ms }: Of<"deadPath">): boolean {
  const directions = bothWays
    ? [
        { a: from, b: to },
        { a: to, b: from },
      ]
    : [{ a: from, b: to }];
  const done = directions.filter(({ a, b }) => world.network.cutPath(a, b, path, PATHS));
  later(world, for_ms, () => {
    for (const { a, b } of done) world.network.mendPath(a, b, path);
  });
  return done.length > 0;
}

function ackLoss(world: World, { from, to, for_ms }: Of<"ackLoss">): boolean {
  world.network.loseAcks(from, to);
  later(world, for_ms, () => world.network.keepAcks(from, to));
  return true;
}

function rumour(world: World, { of, to }: Of<"rumour">): boolean {
  const told = world.nodes.filter((node) => node.isUp && to.includes(node.nodeId));
  for (const node of told) node.suspect(of);
  return told.length > 0;
}

function storm(world: World, { weather, for_ms }: Of<"storm">): boolean {
  const before = world.network.weather;
  world.network.weather = weather;
  later(world, for_ms, () => {
    if (world.network.weather === weather) world.network.weather = before;
  });
  return true;
}

function flipBits(world: World, { chance, for_ms }: Of<"flipBits">): boolean {
  if (!world.isSealed) return false;
  world.network.flipChance = chance;
  later(world, for_ms, () => {
    if (world.network.flipChance === chance) world.network.flipChance = 0;
  });
  return true;
}

function leave(world: World, { node: nodeId, back_ms }: Of<"leave">): boolean {
  const node = world.findNode(nodeId);
  if (node === undefined || !node.isUp) return false;
  const { life } = node;
  node.leave();
  const comeBack = () => {
    if (!node.isUp || node.life !== life) return;
    if (node.place.state === "closed") node.start();
    // It may have to wait for a lease's length.
    else later(world, back_ms, comeBack);
  };
  later(world, back_ms, comeBack);
  return true;
}

function move(world: World, { vip, asked, to }: Of<"move">): boolean {
  const node = world.findNode(asked);
  const address = world.addresses[vip];
  if (node === undefined || !node.isUp || address === undefined) return false;
  return node.vip.requestMove(address, to);
}

function clockStep(world: World, { node: nodeId, by_ms }: Of<"clockStep">): boolean {
  const node = world.findNode(nodeId);
  if (node === undefined || !node.isUp) return false;
  node.stepClock(by_ms);
  return true;
}

/** What comes of it, and when the node is back, is the world's to see to. */
function away(world: World, { node: nodeId, ...departure }: Of<"away">): boolean {
  const node = world.findNode(nodeId);
  if (node === undefined || !node.isUp) return false;
  node.askAway(departure);
  return true;
}

/** A node that is down or stopped gets its keys all the same, from its configuration. Not before the last roll is over. */
function rollKeys(world: World, { step_ms }: Of<"rollKeys">): boolean {
  const [current] = world.nodes[0]?.keys ?? [];
  if (
    !world.isSealed ||
    current === undefined ||
    world.nodes.some(({ keys }) => keys.length > 1 || keys[0] !== current)
  )
    return false;
  const fresh = current + 1;
  for (const [step, keys] of [[current, fresh], [fresh, current], [fresh]].entries()) {
    for (const [index, node] of world.nodes.entries()) {
      later(world, (step + index / world.nodes.length) * step_ms, () => node.setKeys(keys));
    }
  }
  return true;
}
