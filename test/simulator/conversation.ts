// On a calm ring work does not wait for the token to come by: the members of the healed core talk to each other by multicast, each a moment
// after it has heard the one before, and every message reaches all of them in a few rounds without rest. Run at the end, by run.ts.
import type { SimNode } from "./node.js";
import type { Random } from "./random.js";
import type { World } from "./world.js";

const MESSAGES = 40;
/** In a large core a round without rest is long, and one conversation as good as many. */
const HOPS_MAX = 400;
/** Who answers takes so long to think, or as long as an idle token rests: then it is called for anew. */
const GAP_MS = 2;
const LONG_GAP_CHANCE = 0.2;
/**
 * The call comes to where the token rests, the token to the sender, and the message to everybody: less than a round, a round, and a round. A
 * member calls once a unit at most.
 */
const ROUNDS = 3;
const UNITS = 1;

interface Message {
  readonly name: string;
  readonly missing: Set<number>;
  readonly next: SimNode;
}

export class Conversation {
  readonly #world: World;
  readonly #core: readonly SimNode[];
  readonly #random: Random;
  readonly #bound_ms: number;
  readonly #open = new Map<string, Message>();
  #left: number;
  #failure: string | undefined;

  constructor(world: World, core: readonly SimNode[], random: Random) {
    this.#world = world;
    this.#core = core;
    this.#random = random;
    const lateness_ms = Math.max(...core.map(({ options }) => options.timerLateness_ms));
    const hop_ms = world.network.weather.delay_ms[1];
    this.#bound_ms = ROUNDS * core.length * hop_ms + UNITS * world.unit_ms + lateness_ms;
    this.#left = Math.min(MESSAGES, Math.ceil(HOPS_MAX / core.length));
  }

  /** What took too long, if anything did. */
  run(): string | undefined {
    // Who is alone has nobody to wait for.
    const [first] = this.#core;
    if (first === undefined || this.#core.length === 1) return undefined;
    this.#world.multicast.heard = (name, nodeId) => this.#heard(name, nodeId);
    const limit_ms = this.#left * (this.#bound_ms + GAP_MS + this.#world.timers.rotation_ms);
    this.#say(this.#random.pick(this.#core));
    const isOver = () => this.#failure !== undefined || (this.#left === 0 && this.#open.size === 0);
    this.#world.runUntil(isOver, limit_ms);
    this.#world.multicast.heard = undefined;
    return this.#failure;
  }

  #say(speaker: SimNode): void {
    this.#left -= 1;
    const name = this.#world.multicast.say(speaker);
    if (name === undefined) {
      this.#failure = `node ${speaker.nodeId} cannot multicast`;
      return;
    }
    const missing = new Set(this.#core.map(({ nodeId }) => nodeId));
    this.#open.set(name, { name, missing, next: this.#random.pick(this.#core) });
    this.#world.after(this.#bound_ms, () => this.#checkDone(name));
  }

  #checkDone(name: string): void {
    const missing = this.#open.get(name)?.missing;
    if (missing === undefined) return;
    this.#failure ??= `a multicast on a calm ring takes more than ${this.#bound_ms.toFixed(2)} ms: ${name} is missing at nodes ${[...missing].join(",")}`;
  }

  #heard(name: string, nodeId: number): void {
    const message = this.#open.get(name);
    if (message === undefined) return;
    message.missing.delete(nodeId);
    if (message.missing.size === 0) this.#open.delete(name);
    if (nodeId !== message.next.nodeId || this.#left === 0) return;
    const isLong = this.#random.chance(LONG_GAP_CHANCE);
    const gap_ms = this.#random.between(0, isLong ? this.#world.timers.rotation_ms : GAP_MS);
    this.#world.after(gap_ms, () => {
      if (this.#failure === undefined) this.#say(message.next);
    });
  }
}
