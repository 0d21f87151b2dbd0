// Real sockets on loopback: when kernels close connections is what counts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Lifelines } from "../../lib/session/lifelines.js";
import { reservePort } from "./cluster.js";

const OPTIONS = { timeout: 30_000 };
const PATHS = 2;
const addressesOf = (nodeId: number): string[] => [`127.0.9.${nodeId}`, `127.0.10.${nodeId}`];

/** One node's ends of all lines, and what it told. */
class End {
  readonly lines: Lifelines;
  readonly cuts: number[] = [];
  readonly failed: string[] = [];
  readonly #counts = new Map<string, number>();
  readonly #news = new EventEmitter();

  constructor(nodeId: number, port: number, nodeIds: readonly number[]) {
    const others = nodeIds.filter((id) => id !== nodeId);
    this.lines = new Lifelines({
      nodeId,
      addresses: addressesOf(nodeId),
      port,
      peers: others.map((id) => ({ nodeId: id, addresses: addressesOf(id) })),
      onCut: (id) => {
        this.cuts.push(id);
        this.#news.emit("news");
      },
      onListenFailed: (address) => {
        this.failed.push(address);
        this.#news.emit("news");
      },
      count: (name) => {
        this.#counts.set(name, this.count(name) + 1);
        this.#news.emit("news");
      },
    });
    this.lines.listen();
    ends.push(this);
  }

  count(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  async until(isSo: () => boolean): Promise<void> {
    // Lines do not keep a process alive, so something else has to.
    const alive = setInterval(() => {}, 1000);
    while (!isSo()) await once(this.#news, "news");
    clearInterval(alive);
  }

  opened(count: number): Promise<void> {
    return this.until(() => this.count("lifeline_opened") >= count);
  }
}

const ends: End[] = [];
const children: ChildProcess[] = [];
const sockets: Socket[] = [];
let port = 0;
let release = (): void => {};

beforeEach(async () => {
  ({ port, release } = await reservePort());
});

afterEach(() => {
  for (const end of ends.splice(0)) end.lines.close();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const socket of sockets.splice(0)) socket.destroy();
  release();
});

/** Somebody at that address, who is no node. */
async function connectFrom(localAddress: string): Promise<Socket> {
  const socket = connect({ host: addressesOf(1)[0] ?? "", port, localAddress });
  sockets.push(socket);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

describe("lifelines", OPTIONS, () => {
  it("are one connection between two members on each path, and tell on all of them that the other end is gone", async () => {
    const [one, two] = [new End(1, port, [1, 2]), new End(2, port, [1, 2])];
    for (const end of [one, two]) end.lines.setMembers([1, 2]);
    await Promise.all([one.opened(PATHS), two.opened(PATHS)]);
    assert.equal(one.lines.open, PATHS);
    two.lines.close();
    await one.until(() => one.cuts.length === PATHS);
    assert.deepEqual(one.cuts, [2, 2]);
    assert.equal(one.lines.open, 0);
    assert.deepEqual(two.cuts, [], "who ends it by itself need not be told");
  });

  it("tell of a process that is killed", async () => {
    const one = new End(1, port, [1, 2]);
    const [host, localAddress] = [addressesOf(1)[0], addressesOf(2)[0]];
    const program = `require("net").connect(${JSON.stringify({ host, port, localAddress })})`;
    const child = spawn(process.execPath, ["-e", program], { stdio: "ignore" });
    children.push(child);
    await one.opened(1);
    assert.deepEqual(one.cuts, []);
    child.kill("SIGKILL");
    await one.until(() => one.cuts.length > 0);
    assert.deepEqual(one.cuts, [2]);
  });

  it("tell of a connection that is reset", async () => {
    const one = new End(1, port, [1, 2]);
    const socket = await connectFrom("127.0.9.2");
    await one.opened(1);
    socket.resetAndDestroy();
    await one.until(() => one.cuts.length > 0);
    assert.deepEqual(one.cuts, [2]);
  });

  it("are made with members only, and made anew when a node becomes one again", async () => {
    const [one, two] = [new End(1, port, [1, 2]), new End(2, port, [1, 2])];
    two.lines.setMembers([2]);
    assert.equal(two.count("lifeline_opened"), 0);
    two.lines.setMembers([1, 2]);
    await two.opened(PATHS);
    one.lines.close();
    await two.until(() => two.cuts.length === PATHS);
    two.lines.setMembers([2]);
    const again = new End(1, port, [1, 2]);
    two.lines.setMembers([1, 2]);
    await Promise.all([two.opened(2 * PATHS), again.opened(PATHS)]);
  });

  it("are tried again where nobody was there", async () => {
    const two = new End(2, port, [1, 2]);
    two.lines.setMembers([1, 2]);
    await two.until(() => two.count("lifeline_unavailable") >= PATHS);
    assert.deepEqual(two.cuts, [], "it never was there");
    const one = new End(1, port, [1, 2]);
    await one.opened(PATHS);
  });

  it("are refused to strangers, to those that are to be connected to, and to whoever says something", async () => {
    const three = new End(1, port, [1, 2]);
    for (const stranger of ["127.0.9.77", "127.0.10.2", "127.0.9.1"]) {
      const socket = await connectFrom(stranger);
      await once(socket, "close");
    }
    assert.equal(three.count("refused_lifeline"), 3);
    assert.equal(three.lines.open, 0);
    const talker = await connectFrom("127.0.9.2");
    await three.opened(1);
    talker.write("hello");
    await once(talker, "close");
    assert.equal(three.count("refused_lifeline"), 4);
    assert.deepEqual(three.cuts, []);
  });

  it("have one end for each node and path: a newer one replaces it without a word", async () => {
    const one = new End(1, port, [1, 2]);
    const first = await connectFrom("127.0.9.2");
    await one.opened(1);
    await connectFrom("127.0.9.2");
    await one.opened(2);
    await once(first, "close");
    assert.equal(one.lines.open, 1);
    assert.deepEqual(one.cuts, []);
  });

  it("go without an address that somebody else listens on", async () => {
    const taken = createServer().listen({ host: addressesOf(1)[0], port });
    await once(taken, "listening");
    const [one, two] = [new End(1, port, [1, 2]), new End(2, port, [1, 2])];
    await one.until(() => one.failed.length > 0);
    assert.deepEqual(one.failed, [addressesOf(1)[0]]);
    two.lines.setMembers([1, 2]);
    await one.opened(1);
    taken.close();
  });
});
