// The only file of the bench that knows Rainfront's own interface: a member of the group as memberProgram.ts needs it.

import { Raincore } from "../../lib/session/raincore.js";
import { now_us } from "./protocol.js";

export interface AdapterOptions {
  readonly nodeId: number;
  readonly address: string;
  readonly peers: readonly { readonly nodeId: number; readonly address: string }[];
  /** Hexadecimal. */
  readonly clusterKey: string;
  readonly failoverTarget_ms: number;
}

export interface AdapterEvents {
  onMessage(from: number, bytes: Uint8Array): void;
  onView(members: readonly number[]): void;
  onError(error: Error): void;
}

export interface Adapter {
  multicast(bytes: Uint8Array): void;
}

/** More than the window of any run: the window is what holds a sender back. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024;

export async function startAdapter(options: AdapterOptions, events: AdapterEvents): Promise<Adapter> {
  const raincore = await Raincore.start({
    cluster: "bench",
    clusterKey: Buffer.from(options.clusterKey, "hex"),
    nodeId: options.nodeId,
    addresses: [options.address],
    peers: options.peers.map(({ nodeId, address }) => ({ nodeId, addresses: [address] })),
    failoverTarget_ms: options.failoverTarget_ms,
    multicastQueueBytes_max: QUEUE_BYTES_MAX,
  });
  // corosync tells its clients when the members of the group change, so this does too.
  let known = "";
  const tell = (members: readonly { readonly nodeId: number }[]): void => {
    const ids = members.map((member) => member.nodeId);
    if (ids.join() === known) return;
    known = ids.join();
    events.onView(ids);
  };
  raincore.on("view", (view) => tell(view.members));
  raincore.on("message", ({ from, bytes }) => events.onMessage(from, bytes));
  // To the node's log: what led to a failure.
  raincore.on("state", (state) => console.error(now_us(), "state", state));
  raincore.on("log", ({ level, code, fields }) => {
    if (level !== "debug") console.error(now_us(), level, code, JSON.stringify(fields));
  });
  raincore.on("close", (error) => events.onError(error ?? new Error("Raincore closed")));
  if (raincore.view !== undefined) tell(raincore.view.members);
  return { multicast: (bytes) => void raincore.multicast(bytes).catch(events.onError) };
}
