// What a program may and may not write with the class Raincore. Rows for what it learns to do go at the end.
import {
  type Carriage,
  type CreatePlugin,
  type Delivered,
  type Guarantee,
  type Lock,
  type LockDescription,
  Raincore,
  type RaincoreOptions,
  type RaincoreState,
  type View,
} from "rainfront";
import { type Equal, holds, type RequiredKeys } from "./equal.js";

const options: RaincoreOptions = {
  cluster: "front",
  clusterKey: new Uint8Array(32),
  nodeId: 1,
  addresses: ["192.0.2.1"],
  peers: [{ nodeId: 2, addresses: ["192.0.2.2"] }],
};
holds<Equal<RequiredKeys<RaincoreOptions>, "cluster" | "clusterKey" | "nodeId" | "addresses" | "peers">>();

export async function start(): Promise<void> {
  holds<Equal<ReturnType<typeof Raincore.start>, Promise<Raincore>>>();
  await Raincore.start({ ...options, quorum: { policy: "majority", tieBreaker: 1 } });
  await Raincore.start({ ...options, quorum: { policy: "available" } });
  // @ts-expect-error: a majority of two equal halves needs a tie-breaker
  await Raincore.start({ ...options, quorum: { policy: "majority" } });
  // @ts-expect-error: without a key there is no cluster
  await Raincore.start({ cluster: "front", nodeId: 1, addresses: [], peers: [] });
  // @ts-expect-error: a key is bytes
  await Raincore.start({ ...options, clusterKey: "secret" });
  // @ts-expect-error: a default is asked for by leaving the option out
  await Raincore.start({ ...options, port: undefined });
  // @ts-expect-error: it is started, not made
  new Raincore(options);
}

export async function use(raincore: Raincore): Promise<void> {
  holds<Equal<typeof raincore.view, View | undefined>>();
  holds<Equal<typeof raincore.state, RaincoreState>>();
  holds<Equal<typeof raincore.leaseValid, boolean>>();
  // @ts-expect-error: the group says what the view is
  raincore.view = undefined;
  holds<Equal<Awaited<ReturnType<typeof raincore.joined>>, View>>();

  holds<Equal<Guarantee, "agreed" | "safe">>();
  await raincore.multicast(new Uint8Array(1));
  await raincore.multicast(new Uint8Array(1), { guarantee: "safe" });
  // @ts-expect-error: messages are bytes
  await raincore.multicast("text");
  // @ts-expect-error: there are two guarantees
  await raincore.multicast(new Uint8Array(1), { guarantee: "causal" });
  await raincore.send(2, new Uint8Array(1));
  // @ts-expect-error: a node is named by its number
  await raincore.send("b", new Uint8Array(1));

  const lock = await raincore.lock("backup", { wait_ms: 0, signal: AbortSignal.timeout(5) });
  holds<Equal<typeof lock, Lock>>();
  holds<Equal<typeof lock.fence, bigint>>();
  // @ts-expect-error: a fencing number is no number: it does not fit one
  lock.fence satisfies number;
  holds<Equal<typeof lock.lost, AbortSignal>>();
  await using _released = lock;
  holds<Equal<Awaited<ReturnType<typeof raincore.locks>>, readonly LockDescription[]>>();

  const carriage = raincore.carriage("x-state");
  holds<Equal<typeof carriage, Carriage>>();
  await carriage.update((bytes) => bytes);
  // @ts-expect-error: a carriage is bytes
  await carriage.update(() => "text");
  // @ts-expect-error: what others see is changed by update
  carriage.state.version = 1;
}

export function listen(raincore: Raincore): void {
  raincore.on("view", (view) => holds<Equal<typeof view, View>>());
  raincore.on("message", (message) => holds<Equal<typeof message, Delivered>>());
  raincore.on("lease", (valid) => holds<Equal<typeof valid, boolean>>());
  raincore.on("state", (state) => holds<Equal<typeof state, RaincoreState>>());
  raincore.on("close", (error) => holds<Equal<typeof error, Error | undefined>>());
  // @ts-expect-error: no such event
  raincore.on("views", () => {});
  // @ts-expect-error: a view comes as a view
  raincore.on("view", (view: string) => view);
}

export const createPlugin: CreatePlugin = (host, data) => {
  holds<Equal<typeof data, unknown>>();
  host.wake();
  return { modules: [] };
};
