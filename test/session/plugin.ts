// A plugin that does what its data and calls say, for tests of how the ring's thread bears with it.
import { appendFileSync } from "node:fs";
import { RainfrontError } from "../../lib/errors.js";
import type { TokenModule } from "../../lib/raincore/types.js";
import type { PluginHost, SessionPlugin } from "../../lib/session/plugin.js";

export interface Orders {
  readonly throwAtStart?: "coded" | "native";
  /** Two modules of one name: the engine refuses them. */
  readonly twins?: boolean;
  /** Where it writes that it was closed. */
  readonly diary?: string;
  /** What the wall clock shows in this thread from now on. */
  readonly wall_ms?: number;
  /** Where it writes how many members the view has (one 32-bit number), for a thread that waits there. */
  readonly members?: SharedArrayBuffer;
  /** Keeps the thread busy for ever. */
  readonly timer?: boolean;
}

/** The first byte of what plugins send each other. */
const QUESTION = 201;
const ANSWER = 202;

const twin: TokenModule = { carriage: "twin", format: 1, bytesMax: 8, onToken: () => undefined, onLost: () => {} };

export function createPlugin(host: PluginHost, data: unknown): SessionPlugin {
  const orders = data as Orders;
  if (orders.throwAtStart === "coded") throw new RainfrontError("RF_NIC_MTU", "the MTU is odd", { fix: "even it" });
  if (orders.throwAtStart === "native") throw Object.assign(new Error("the NIC is gone"), { code: "RF_NIC_MISSING" });
  const { wall_ms } = orders;
  if (wall_ms !== undefined) Date.now = () => wall_ms;
  if (orders.timer === true) setInterval(() => host.wake(), 5);
  let failNext = false;
  return {
    modules: orders.twins === true ? [twin, twin] : [],
    onState: () => {
      if (failNext) throw new RainfrontError("RF_PORT_RING", "the ring of the port broke", { fix: "mend it" });
    },
    onView: (view) => {
      if (orders.members !== undefined) tell(new Int32Array(orders.members), view.members.length);
      host.wake();
    },
    onMessage: (from, bytes) => {
      if (bytes[0] === QUESTION) host.send(from, Uint8Array.of(ANSWER, bytes[1] ?? 0));
      if (bytes[0] === ANSWER) host.emit({ from, answer: bytes[1] });
      return bytes[0] === QUESTION || bytes[0] === ANSWER;
    },
    call: (method, params) => {
      switch (method) {
        case "ask": {
          const { node, word } = params as { readonly node: number; readonly word: number };
          host.send(node, Uint8Array.of(QUESTION, word));
          return undefined;
        }
        case "echo":
          return params;
        case "function":
          return () => 1;
        case "throw":
          throw new RainfrontError("RF_VIP_UNKNOWN", "there is no such VIP");
        case "failAtState":
          failNext = true;
          return undefined;
        case "hang":
          for (;;);
        case "suspects":
          return host.suspectedKeyMismatch();
        default:
          return undefined;
      }
    },
    close: () => {
      if (orders.diary !== undefined) appendFileSync(orders.diary, "closed\n");
    },
  };
}

function tell(place: Int32Array, value: number): void {
  Atomics.store(place, 0, value);
  Atomics.notify(place, 0);
}
