// What a program that imports the package may and may not write, besides the class Raincore.
import {
  type Config,
  type Delivery,
  deriveTimers,
  type Effect,
  type ERROR_CODES,
  type ErrorCode,
  type frontMac,
  type LockEvent,
  Locks,
  type leastTarget_ms,
  loadConfig,
  MAGLEV_SLOTS,
  Multicast,
  type Persistence,
  type RaincoreConfig,
  RaincoreEngine,
  RainfrontError,
  type SegmentName,
  SharedCarriages,
  type Timers,
  type TokenModule,
  type UpdateResult,
  type VERSION,
  type VipAnswer,
  type VipConfig,
  VipModule,
} from "rainfront";
import { type Equal, holds } from "./equal.js";

holds<Equal<ReturnType<typeof loadConfig>, Config>>();
loadConfig("/etc/rainfront.yaml");
loadConfig("/etc/rainfront.yaml", { node: 2 });
loadConfig("/etc/rainfront.yaml", { node: undefined });
// @ts-expect-error: a path is text
loadConfig(7);
// @ts-expect-error: a node is named by its number
loadConfig("/etc/rainfront.yaml", { node: "b" });

export function configIsReadOnly(config: Config): void {
  holds<Equal<typeof config.failoverTarget_ms, number>>();
  holds<Equal<typeof config.timers, Timers>>();
  // @ts-expect-error: a configuration that was checked stays as it is
  config.failoverTarget_ms = 100;
  // @ts-expect-error: its lists too
  config.vips.push();
}

holds<Equal<ErrorCode, (typeof ERROR_CODES)[number]>>();
// @ts-expect-error: codes are a closed list, not any text
holds<Equal<ErrorCode, string>>();

export function branchOnCodes(error: RainfrontError): string | undefined {
  // @ts-expect-error: no such code
  if (error.code === "RF_NO_SUCH_CODE") return undefined;
  if (error.code === "RF_CONFIG_SYNTAX") return error.fix;
  holds<Equal<typeof error.fix, string | undefined>>();
  // @ts-expect-error: an error's code does not change
  error.code = "RF_USAGE";
  return error.toLine();
}
new RainfrontError("RF_USAGE", "wrong", { fix: "read the help", cause: new Error("why") });
// @ts-expect-error: an error says what is wrong
new RainfrontError("RF_USAGE");
// @ts-expect-error: no such code
new RainfrontError("RF_NO_SUCH_CODE", "wrong");

holds<Equal<ReturnType<typeof deriveTimers>, Timers>>();
// @ts-expect-error: milliseconds are a number
deriveTimers("150");
// @ts-expect-error: timers follow from the target alone
deriveTimers(150).lease_ms = 1;

holds<Equal<ReturnType<typeof frontMac>, string>>();
holds<Equal<typeof VERSION, string>>();
MAGLEV_SLOTS satisfies number;

export const vipModule = new VipModule({
  self: 1,
  vips: [{ address: "192.0.2.1", segment: "external", preferredHost: 0, persistence: 3 }],
});
vipModule satisfies TokenModule;
holds<Equal<typeof vipModule.answers, ReadonlyMap<string, VipAnswer>>>();
// @ts-expect-error: there is no persistence 2
new VipModule({ self: 1, vips: [{ address: "192.0.2.1", segment: "external", preferredHost: 0, persistence: 2 }] });
// @ts-expect-error: a module belongs to a node
new VipModule({ vips: [] });

/** Every kind of effect can be told by its type; a new one makes this fail where it has to be thought of. */
export function kindsOfEffects(effect: Effect): string {
  switch (effect.type) {
    case "send":
      holds<Equal<typeof effect.bytes, Uint8Array>>();
      return `${effect.to} by path ${effect.path}`;
    case "probe":
      return `${effect.to} by path ${effect.path}`;
    case "view":
      return effect.view.members.map((member) => member.nodeId).join();
    case "lease":
      return String(effect.until_ms);
    case "state":
      return effect.state satisfies "joining" | "member" | "closed";
    case "message":
      return `${effect.bytes.length} bytes from ${effect.from}`;
    case "settled":
      return `${effect.id} ${effect.delivered}`;
    case "log":
      return effect.code;
    default:
      return effect satisfies never;
  }
}

/** A module of one's own. */
export const counter: TokenModule = {
  carriage: "x-counter",
  format: 1,
  bytesMax: 8,
  onToken: (ctx, bytes) => (ctx.leaving ? undefined : bytes),
  onLost: (now_ms) => void now_ms.toFixed(),
};
// @ts-expect-error: a module must say what becomes of the carriage
export const incomplete: TokenModule = { carriage: "x", format: 1, bytesMax: 8, onLost: () => {} };

/** An engine of one's own, with the services that `Raincore` has. */
export function ownEngine(config: Omit<RaincoreConfig, "modules">): readonly Effect[] {
  const multicast = new Multicast({ self: 1, onDeliver: (delivery) => holds<Equal<typeof delivery, Delivery>>() });
  const locks = new Locks({ self: 1, onEvent: (event) => holds<Equal<typeof event, LockEvent>>() });
  const shared = new SharedCarriages({ self: 1, onChange: (_name, version) => holds<Equal<typeof version, number>>() });
  const engine = new RaincoreEngine({ ...config, modules: [multicast, locks, shared] }, { random: () => 0.5 });
  holds<Equal<ReturnType<typeof multicast.send>, number | undefined>>();
  // @ts-expect-error: there are two guarantees
  multicast.send(new Uint8Array(1), "causal");
  // @ts-expect-error: who asks for a lock has a name
  locks.acquire(0, "job", {});
  holds<Equal<ReturnType<typeof shared.update>, number | undefined>>();
  // @ts-expect-error: time comes in
  engine.tick();
  return engine.wake(0);
}
// @ts-expect-error: a multicast delivers to somebody
new Multicast({ self: 1 });

holds<Equal<Persistence, 0 | 1 | 3>>();
holds<Equal<Config["vips"][number], VipConfig<SegmentName>>>();
holds<Equal<SegmentName, "external" | "internal">>();
holds<Equal<ReturnType<typeof leastTarget_ms>, number>>();

export function outcomeOf(result: UpdateResult): string {
  if (result.ok) return `at ${result.version}`;
  holds<Equal<typeof result.cause, "version" | "limit" | "lost" | "unknown">>();
  // @ts-expect-error: only a conflict names a version
  return result.cause === "limit" ? String(result.version) : result.cause;
}
