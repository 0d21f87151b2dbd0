// A map that every node has a copy of: each change is an ordered multicast, applied in the one order of the group, so the copies are equal.
// A node that joins asks the oldest member for its copy first.
//
// Run it on one machine, in three terminals:
//   node dist/examples/replicatedMap.js 1     (then 2, then 3)
// and type: set KEY VALUE, delete KEY, show.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Raincore, type View } from "rainfront";

type Change =
  | { readonly do: "set"; readonly key: string; readonly value: string }
  | { readonly do: "delete"; readonly key: string }
  /** A joiner's question: whoever has the map and stands first in the view answers. */
  | { readonly do: "ask"; readonly node: number }
  /** The map as it was when the question was delivered, for the one that asked. */
  | { readonly do: "state"; readonly node: number; readonly entries: readonly (readonly [string, string])[] };

export class ReplicatedMap {
  readonly #raincore: Raincore;
  readonly #map = new Map<string, string>();
  /** Changes since this node asked for the state; undefined once it has it. */
  #early: Change[] | undefined = [];
  /** Members that have asked and got no answer yet. */
  readonly #without = new Set<number>();
  #view: View | undefined;
  readonly #ready: Promise<void>;
  #markReady: () => void = () => {};

  constructor(raincore: Raincore) {
    this.#raincore = raincore;
    this.#ready = new Promise((resolve) => {
      this.#markReady = resolve;
    });
    raincore.on("view", (view) => this.#onView(view));
    raincore.on("state", (state) => this.#onState(state));
    raincore.on("message", ({ bytes }) => this.#onChange(JSON.parse(Buffer.from(bytes).toString()) as Change));
  }

  /** Resolves when this copy is the group's. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  get entries(): ReadonlyMap<string, string> {
    return this.#map;
  }

  /** Resolves when the change is applied here; the others apply it at the same place in their order. */
  async set(key: string, value: string): Promise<void> {
    await this.#send({ do: "set", key, value });
  }

  async delete(key: string): Promise<void> {
    await this.#send({ do: "delete", key });
  }

  async #send(change: Change): Promise<void> {
    await this.#raincore.multicast(Buffer.from(JSON.stringify(change)));
  }

  #onView(view: View): void {
    const isNew = this.#view === undefined;
    this.#view = view;
    if (isNew)
      this.#send({ do: "ask", node: this.#raincore.nodeId }).catch(() => {}); // not a member any more: the next view asks again
    else this.#beginIfNobodyHasIt();
  }

  #onState(state: string): void {
    if (state !== "member") this.#view = undefined;
  }

  #onChange(change: Change): void {
    const self = this.#raincore.nodeId;
    switch (change.do) {
      case "ask":
        this.#without.add(change.node);
        if (change.node === self) this.#early = [];
        else if (this.#early === undefined && this.#isFirst(change.node)) {
          this.#send({ do: "state", node: change.node, entries: [...this.#map] }).catch(() => {});
        }
        this.#beginIfNobodyHasIt();
        break;
      case "state":
        this.#without.delete(change.node);
        if (change.node === self && this.#early !== undefined) this.#begin(change.entries);
        break;
      default:
        if (this.#early === undefined) this.#apply(change);
        else this.#early.push(change);
    }
  }

  /** Of the members beside the one that asks. */
  #isFirst(besides: number): boolean {
    const others = this.#view?.members.filter((member) => member.nodeId !== besides) ?? [];
    return Math.min(...others.map((member) => member.nodeId)) === this.#raincore.nodeId;
  }

  /** All that are here have asked, so there is no map yet: it begins empty, for all of them at this place in the order. */
  #beginIfNobodyHasIt(): void {
    if (this.#early === undefined || this.#view === undefined) return;
    if (this.#view.members.every((member) => this.#without.has(member.nodeId))) this.#begin([]);
  }

  #begin(entries: readonly (readonly [string, string])[]): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#without.delete(this.#raincore.nodeId);
    this.#map.clear();
    for (const [key, value] of entries) this.#map.set(key, value);
    for (const change of early) this.#apply(change);
    this.#markReady();
  }

  #apply(change: Change): void {
    if (change.do === "set") this.#map.set(change.key, change.value);
    if (change.do === "delete") this.#map.delete(change.key);
  }
}

async function main(nodeId: number): Promise<void> {
  const raincore = await Raincore.start({
    cluster: "example-map",
    clusterKey: new Uint8Array(32).fill(7), // a real one comes from a file that others cannot read
    nodeId,
    addresses: [`127.0.0.${nodeId}`],
    peers: [1, 2, 3].filter((id) => id !== nodeId).map((id) => ({ nodeId: id, addresses: [`127.0.0.${id}`] })),
  });
  const map = new ReplicatedMap(raincore);
  raincore.on("view", (view) => console.log("members:", view.members.map((member) => member.nodeId).join(" ")));
  await map.ready;
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb, key = "", ...value] = line.trim().split(" ");
    if (verb === "set") await map.set(key, value.join(" "));
    else if (verb === "delete") await map.delete(key);
    else console.log(Object.fromEntries(map.entries));
  }
  await raincore.leave();
  await raincore.close();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main(Number(process.argv[2]));
