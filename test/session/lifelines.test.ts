// Real sockets on loopback: when kernels close connections is what counts.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Lifelines } from "../../lib/session/lifelines.js";
import { reservePort } from "./cluster.js";

const OPTIONS = { timeout: 30_000 };
const PATHS = 2;
/** What has not come by then does not come. */
const PATIENCE_MS = 10_000;
const addressesOf = (nodeId: number): string[] => [`127.0.9.${nodeId}`, `127.0.10.${nodeId}`];

interface Wait {
  readonly wait_ms: number;
  readonly act: () => void;
}

/** One node's ends of all lines, and what it told. Its time stands still: no line is tried again unless the test says so. */
class End {
  readonly lines: Lifelines;
  now_ms = 0;
  readonly waits = new Set<Wait>();
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
      time: { now_ms: () => this.now_ms, after: (wait_ms, act) => this.#after({ wait_ms, act }) },
    });
    this.lines.listen();
    ends.push(this);
  }

  count(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  async until(isSo: () => boolean): Promise<void> {
    const late = new AbortController();
    // Lines do not keep a process alive, so this timer does that as well.
    const timer = setTimeout(() => late.abort(), PATIENCE_MS);
    try {
      while (!isSo()) await once(this.#news, "news", { signal: late.signal });
    } finally {
      clearTimeout(timer);
    }
  }

  opened(count: number): Promise<void> {
    return this.until(() => this.count("lifeline_opened") >= count);
  }

  /** How long the lines to one node, all of them, wait until they are tried again; and then that time has come. */
  async retry(): Promise<number[]> {
    await this.until(() => this.waits.size === PATHS);
    const due = [...this.waits];
    this.waits.clear();
    for (const { act } of due) act();
    return due.map(({ wait_ms }) => wait_ms);
  }

  #after(wait: Wait): () => void {
    this.waits.add(wait);
    this.#news.emit("news");
    return () => this.waits.delete(wait);
  }
}

const ends: End[] = [];
const children: ChildProcess[] = [];
const sockets: Socket[] = [];
const servers: Server[] = [];
let port = 0;
let release = (): void => {};

beforeEach(async () => {
  ({ port, release } = await reservePort());
});

afterEach(() => {
  for (const end of ends.splice(0)) end.lines.close();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  release();
});

/** Somebody at that address, who is no node. */
async function connectFrom(localAddress: string, to = addressesOf(1)[0] ?? ""): Promise<Socket> {
  const socket = connect({ host: to, port, localAddress });
  sockets.push(socket);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** What other nodes meet at a node's addresses. */
async function listenAs(nodeId: number, onConnection: (socket: Socket) => void): Promise<void> {
  for (const host of addressesOf(nodeId)) {
    const server = createServer(onConnection).listen({ host, port });
    servers.push(server);
    await once(server, "listening");
  }
}

/** A process with lines of all kinds, that has nothing else to do once it has them: to node 1, from node 3, and one to nobody. */
function processOfNode2(): ChildProcess {
  const peers = [0, 1, 3].map((nodeId) => ({ nodeId, addresses: addressesOf(nodeId) }));
  const program = `
    import { Lifelines } from ${JSON.stringify(new URL("../../lib/session/lifelines.ts", import.meta.url).href)};
    const alive = setInterval(() => {}, 1000);
    const counts = { lifeline_opened: 0, lifeline_unavailable: 0 };
    const lines = new Lifelines({
      nodeId: 2,
      addresses: ${JSON.stringify(addressesOf(2))},
      port: ${port},
      peers: ${JSON.stringify(peers)},
      onCut: () => process.exit(3),
      onListenFailed: () => process.exit(4),
      count: (name) => {
        counts[name] += 1;
        if (counts.lifeline_opened === ${PATHS + 1} && counts.lifeline_unavailable === ${PATHS}) clearInterval(alive);
      },
    });
    lines.listen();
    lines.setMembers([0, 1, 2, 3]);
  `;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  children.push(child);
  return child;
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

  it("are made with members only", async () => {
    const [one, two] = [new End(1, port, [0, 1, 2]), new End(2, port, [0, 1, 2])];
    two.lines.setMembers([1, 2]);
    await Promise.all([one.opened(PATHS), two.opened(PATHS)]);
    assert.equal(two.count("lifeline_unavailable"), 0, "0 would have been tried first");
    two.lines.setMembers([0, 1, 2]);
    await two.until(() => two.waits.size === PATHS);
    assert.equal(two.count("lifeline_unavailable"), PATHS);
    two.lines.setMembers([1, 2]);
    const zero = new End(0, port, [0, 1, 2]);
    await two.retry();
    one.lines.close();
    const again = new End(1, port, [0, 1, 2]);
    await two.retry();
    await again.opened(PATHS);
    assert.equal(zero.count("lifeline_opened"), 0, "0 was none any more when its time had come");
  });

  it("are made anew at once when a node becomes a member again", async () => {
    const [one, two] = [new End(1, port, [1, 2]), new End(2, port, [1, 2])];
    two.lines.setMembers([1, 2]);
    await two.opened(PATHS);
    one.lines.close();
    await two.until(() => two.waits.size === PATHS);
    two.lines.setMembers([2]);
    const again = new End(1, port, [1, 2]);
    two.lines.setMembers([1, 2]);
    await Promise.all([two.opened(2 * PATHS), again.opened(PATHS)]);
    assert.equal(two.waits.size, 0, "the retries of before are off");
  });

  it("are tried again where nobody is there, after twice the time each time, up to 30 s", async () => {
    const two = new End(2, port, [1, 2]);
    two.lines.setMembers([1, 2]);
    for (const wait_ms of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      assert.deepEqual(await two.retry(), [wait_ms, wait_ms]);
    }
    assert.deepEqual(two.cuts, [], "it never was there");
    await two.until(() => two.waits.size === PATHS);
    const one = new End(1, port, [1, 2]);
    assert.deepEqual(await two.retry(), [30_000, 30_000]);
    await one.opened(PATHS);
  });

  it("that end as soon as they are open are not tried again any sooner than those that cannot be had", async () => {
    await listenAs(1, (socket) => socket.destroy());
    const two = new End(2, port, [1, 2]);
    two.lines.setMembers([1, 2]);
    for (const wait_ms of [1000, 2000, 4000, 8000]) assert.deepEqual(await two.retry(), [wait_ms, wait_ms]);
    assert.ok(two.count("lifeline_opened") >= 4 * PATHS);
  });

  it("that lasted for 30 s are tried again soon, others are not", async () => {
    const two = new End(2, port, [1, 2]);
    two.lines.setMembers([1, 2]);
    let one = new End(1, port, [1, 2]);
    const waits: number[][] = [];
    for (const [round, lasted_ms] of [0, 29_999, 30_000, 0].entries()) {
      await Promise.all([one.opened(PATHS), two.opened((round + 1) * PATHS)]);
      two.now_ms += lasted_ms;
      one.lines.close();
      one = new End(1, port, [1, 2]);
      waits.push(await two.retry());
    }
    assert.deepEqual(
      waits.map(([wait_ms]) => wait_ms),
      [1000, 2000, 1000, 2000],
    );
  });

  it("are connected a few in each turn of the event loop, so that other work comes in between", async () => {
    const nodeIds = Array.from({ length: 50 }, (_, index) => index);
    const last = new End(50, port, [...nodeIds, 50]);
    last.lines.setMembers(nodeIds);
    let [before, most] = [0, 0];
    const lines = nodeIds.length * PATHS;
    while (before < lines) {
      await new Promise((resolve) => setImmediate(resolve));
      const tried = last.count("lifeline_unavailable");
      most = Math.max(most, tried - before);
      before = tried;
    }
    assert.ok(most <= lines / 4, `${most} of ${lines} in one turn`);
  });

  it("do not keep a process alive: those to others, those from others, and those that cannot be had", async () => {
    const one = new End(1, port, [1, 2]);
    const child = processOfNode2();
    const exited = once(child, "exit");
    await Promise.race([one.opened(PATHS), exited]);
    await connectFrom("127.0.9.3", addressesOf(2)[0]);
    assert.deepEqual(await exited, [0, null]);
    await one.until(() => one.cuts.length === PATHS);
  });

  it("are refused to strangers, to those that are to be connected to, and to whoever says something", async () => {
    const two = new End(2, port, [1, 2, 3]);
    const here = addressesOf(2)[0];
    const settled = (): number => two.count("refused_lifeline") + two.count("lifeline_opened");
    const [noNode, ofTheOtherPath, connectedTo, itself] = ["127.0.9.77", "127.0.10.3", "127.0.9.1", "127.0.9.2"];
    for (const [index, stranger] of [noNode, ofTheOtherPath, connectedTo, itself].entries()) {
      await connectFrom(stranger, here);
      await two.until(() => settled() > index);
      assert.equal(two.count("lifeline_opened"), 0, stranger);
    }
    assert.equal(two.lines.open, 0);
    const talker = await connectFrom("127.0.9.3", here);
    await two.opened(1);
    talker.write("hello");
    await once(talker, "close");
    assert.equal(two.count("refused_lifeline"), 5);
    assert.deepEqual(two.cuts, []);
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
