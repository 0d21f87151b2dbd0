// A map that every node has a copy of: each change is an ordered multicast, applied in the one order of the group, so the copies are equal.
// A node that comes in asks for the map first, and one that has it answers: every time, for it missed what was changed while it was out.
//
// Run it on one machine, in three terminals:
//   node dist/examples/replicatedMap.js 1     (then 2, then 3)
// and type: set KEY VALUE, delete KEY, show.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Raincore, type View } from "rainfront";

type Entries = readonly (readonly [key: string, value: string])[];

/** Done twice in a row, a list of them does the same as done once: an answer may contain some of what follows its question. */
type Change =
  | { readonly do: "set"; readonly key: string; readonly value: string }
  | { readonly do: "delete"; readonly key: string };

type Message =
  | Change
  /** From a node without the map. */
  | { readonly do: "ask"; readonly question: string }
  /** The map as it was somewhere between question and answer. */
  | { readonly do: "answer"; readonly node: number; readonly question: string; readonly entries: Entries };

/** What has come since this node's last question did. */
interface Asked {
  readonly question: string;
  readonly changes: Change[];
}

/** Make it right after `Raincore.start`: it has to hear every message. The whole map has to fit a message of 16 MiB. */
export class ReplicatedMap {
  readonly #raincore: Raincore;
  readonly #map = new Map<string, string>();
  #hasMap = false;
  #asked: Asked | undefined;
  /** Members that asked in this view and were not answered. */
  readonly #questions = new Map<number, string>();
  #view: View | undefined;
  #ready = newPromise();

  constructor(raincore: Raincore) {
    this.#raincore = raincore;
    raincore.on("view", (view) => this.#onView(view));
    raincore.on("state", (state) => {
      if (state !== "member") this.#lose();
    });
    raincore.on("message", ({ from, bytes }) =>
      this.#onMessage(from, JSON.parse(Buffer.from(bytes).toString()) as Message),
    );
    if (raincore.view !== undefined) this.#onView(raincore.view);
  }

  /** Resolves when this copy is the group's. After a time outside the group it is another promise. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** While this node is not ready: as it was then. */
  get entries(): ReadonlyMap<string, string> {
    return this.#map;
  }

  /** Resolves when the change has its place in the order, and is applied here. Rejects with `RF_NOT_DELIVERED` if that is not known. */
  async set(key: string, value: string): Promise<void> {
    await this.#ready.promise;
    await this.#send({ do: "set", key, value });
  }

  /** As `set`. */
  async delete(key: string): Promise<void> {
    await this.#ready.promise;
    await this.#send({ do: "delete", key });
  }

  async #send(message: Message): Promise<void> {
    await this.#raincore.multicast(Buffer.from(JSON.stringify(message)));
  }

  /** All members see a new view at the same place among the messages. Whoever is without the map then asks (again) in this view. */
  #onView(view: View): void {
    const before = this.#view;
    this.#view = view;
    if (before?.epoch === view.epoch && before.origin === view.origin) return; // only a member's readiness is new
    this.#questions.clear();
    if (this.#hasMap) return;
    this.#asked = undefined;
    // Not delivered means: not a member any more. The next view asks again.
    this.#send({ do: "ask", question: randomUUID() }).catch(() => {});
  }

  /** The others go on without this node, which must not answer for them any more. */
  #lose(): void {
    this.#view = undefined;
    this.#asked = undefined;
    if (this.#hasMap) this.#ready = newPromise();
    this.#hasMap = false;
  }

  #onMessage(from: number, message: Message): void {
    switch (message.do) {
      case "ask":
        this.#onQuestion(from, message.question);
        break;
      case "answer":
        if (this.#questions.get(message.node) === message.question) this.#questions.delete(message.node);
        if (!this.#hasMap && this.#asked?.question === message.question)
          this.#begin(message.entries, this.#asked.changes);
        break;
      default:
        if (this.#hasMap) this.#apply(message);
        else this.#asked?.changes.push(message);
    }
  }

  #onQuestion(from: number, question: string): void {
    const self = this.#raincore.nodeId;
    if (from === self) {
      if (this.#hasMap) return;
      this.#asked = { question, changes: [] };
    }
    this.#questions.set(from, question);
    const others = (this.#view?.members ?? []).map(({ nodeId }) => nodeId).filter((id) => !this.#questions.has(id));
    // Nobody has a map: it begins, empty, at this place for all of them.
    if (others.length === 0) this.#begin([], []);
    // The first one that has not asked answers; all questions, for who was taken for the first may just have asked, too.
    else if (this.#hasMap && Math.min(...others) === self) this.#answerAll();
  }

  #answerAll(): void {
    for (const [node, question] of this.#questions) {
      this.#send({ do: "answer", node, question, entries: [...this.#map] }).catch(() => {});
    }
  }

  #begin(entries: Entries, changes: readonly Change[]): void {
    this.#hasMap = true;
    this.#asked = undefined;
    this.#questions.delete(this.#raincore.nodeId);
    this.#map.clear();
    for (const [key, value] of entries) this.#map.set(key, value);
    for (const change of changes) this.#apply(change);
    this.#ready.resolve();
  }

  #apply(change: Change): void {
    if (change.do === "set") this.#map.set(change.key, change.value);
    else this.#map.delete(change.key);
  }
}

function newPromise(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
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
