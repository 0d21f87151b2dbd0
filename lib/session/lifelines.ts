// A TCP connection to every member, over which nothing is ever said: however a process ends, its kernel closes them, and the others know at
// once where to look. While all are open they cost nothing. Nothing is believed because of one: whoever forges its end costs the ring a round
// of the token. A dead machine or a cut cable closes none. Used by network.ts.
import { connect, createServer, type Server, type Socket } from "node:net";

export interface LifelinesOptions {
  readonly nodeId: number;
  /** Local addresses by path; empty: there are no lines. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly peers: readonly { readonly nodeId: number; readonly addresses: readonly string[] }[];
  /** The other end of a line to that node has ended. */
  readonly onCut: (nodeId: number) => void;
  /** Nobody can connect to that address of this node. */
  readonly onListenFailed: (address: string, reason: string) => void;
  readonly count: (name: string) => void;
  /** Tests have a time of their own. */
  readonly time?: LifelineTime;
}

export interface LifelineTime {
  now_ms(): number;
  /** Calls `act` then, unless what it returns is called before. */
  after(wait_ms: number, act: () => void): () => void;
}

/** To one node on one path. The node with the greater id connects. */
interface Line {
  readonly nodeId: number;
  readonly path: number;
  readonly isOurs: boolean;
  socket: Socket | undefined;
  /** When our connection was made. */
  opened_ms: number | undefined;
  cancelRetry: () => void;
  retry_ms: number;
}

const RETRY_MS = 1000;
/** A line that lasted for less is worth no more than one that could not be had: it is not tried again any sooner. */
const RETRY_MS_MAX = 30_000;
/** A connect is a few system calls, and the ring's datagrams are not to wait for hundreds of them. */
const CONNECTS_PER_TURN = 8;
/** A machine that died closes nothing; so that its end is not kept for ever. The kernels do that among themselves. */
const KEEP_ALIVE_MS = 30_000;

const NOTHING = (): void => {};
const REAL_TIME: LifelineTime = {
  now_ms: () => performance.now(),
  after: (wait_ms, act) => {
    const timer = setTimeout(act, wait_ms).unref();
    return () => clearTimeout(timer);
  },
};

export class Lifelines {
  readonly #options: LifelinesOptions;
  readonly #time: LifelineTime;
  readonly #servers: Server[] = [];
  /** By node and path. */
  readonly #lines: ReadonlyMap<string, Line>;
  /** To be connected, in the next turns of the event loop. */
  readonly #due = new Set<Line>();
  #turn: NodeJS.Immediate | undefined;
  #members: ReadonlySet<number> = new Set();
  #isClosed = false;

  constructor(options: LifelinesOptions) {
    this.#options = options;
    this.#time = options.time ?? REAL_TIME;
    const { peers, addresses, nodeId: self } = options;
    const lines = peers.flatMap(({ nodeId, addresses: theirs }) =>
      theirs.slice(0, addresses.length).map((_, path): [string, Line] => [
        keyOf(nodeId, path),
        {
          nodeId,
          path,
          isOurs: nodeId < self,
          socket: undefined,
          opened_ms: undefined,
          cancelRetry: NOTHING,
          retry_ms: RETRY_MS,
        },
      ]),
    );
    this.#lines = new Map(lines);
  }

  /** Never fails: without lines, silence lasts as long as it lasts. */
  listen(): void {
    for (const [path, host] of this.#options.addresses.entries()) {
      const server = createServer({ noDelay: true }, (socket) => this.#accept(path, socket));
      server.on("error", (error) => this.#options.onListenFailed(host, error.message));
      server.listen({ host, port: this.#options.port });
      server.unref();
      this.#servers.push(server);
    }
  }

  /** Lines to these are kept up. Those to others stay until they end. */
  setMembers(nodeIds: readonly number[]): void {
    const before = this.#members;
    this.#members = new Set(nodeIds);
    for (const line of this.#lines.values()) {
      if (before.has(line.nodeId)) continue;
      line.retry_ms = RETRY_MS;
      this.#connectSoon(line);
    }
  }

  /** Both directions together, for people. */
  get open(): number {
    let count = 0;
    for (const { socket } of this.#lines.values()) if (socket?.readyState === "open") count += 1;
    return count;
  }

  close(): void {
    this.#isClosed = true;
    clearImmediate(this.#turn);
    for (const server of this.#servers) server.close();
    for (const line of this.#lines.values()) {
      line.cancelRetry();
      line.socket?.destroy();
    }
  }

  #accept(path: number, socket: Socket): void {
    const line = this.#lineFrom(path, socket.remoteAddress);
    if (line === undefined || this.#isClosed) {
      this.#options.count("refused_lifeline");
      socket.on("error", NOTHING);
      socket.destroy();
      return;
    }
    // A new life of that node, or the end of its old line was lost.
    const old = line.socket;
    this.#watch(line, socket);
    this.#options.count("lifeline_opened");
    old?.destroy();
  }

  /** Only those that are to connect here, from the address that they have. */
  #lineFrom(path: number, remote: string | undefined): Line | undefined {
    const peer = this.#options.peers.find(({ addresses }) => addresses[path] === remote);
    const line = peer === undefined ? undefined : this.#lines.get(keyOf(peer.nodeId, path));
    return line?.isOurs === false ? line : undefined;
  }

  #connectSoon(line: Line): void {
    if (this.#isClosed || !line.isOurs || !this.#members.has(line.nodeId)) return;
    this.#due.add(line);
    this.#turn ??= setImmediate(() => this.#connectSome());
  }

  #connectSome(): void {
    this.#turn = undefined;
    for (const line of [...this.#due].slice(0, CONNECTS_PER_TURN)) {
      this.#due.delete(line);
      this.#connect(line);
    }
    if (this.#due.size > 0) this.#turn = setImmediate(() => this.#connectSome());
  }

  #connect(line: Line): void {
    const { nodeId, path } = line;
    if (line.socket !== undefined || !this.#members.has(nodeId)) return;
    line.cancelRetry();
    const host = this.#options.peers.find((peer) => peer.nodeId === nodeId)?.addresses[path];
    const localAddress = this.#options.addresses[path];
    if (host === undefined || localAddress === undefined) return;
    const socket = connect({ host, port: this.#options.port, localAddress });
    socket.on("connect", () => {
      line.opened_ms = this.#time.now_ms();
      this.#options.count("lifeline_opened");
    });
    this.#watch(line, socket);
  }

  #watch(line: Line, socket: Socket): void {
    line.socket = socket;
    const cut = () => {
      if (line.socket !== socket || this.#isClosed) return;
      this.#options.count("lifeline_cut");
      this.#options.onCut(line.nodeId);
    };
    socket.unref();
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    // Nothing is to be read but the end.
    socket.on("data", () => {
      this.#options.count("refused_lifeline");
      socket.destroy();
    });
    socket.on("end", cut);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") cut();
      else this.#options.count("lifeline_unavailable");
    });
    socket.on("close", () => {
      if (line.socket !== socket) return;
      line.socket = undefined;
      this.#retry(line);
    });
  }

  #retry(line: Line): void {
    if (this.#isClosed || !line.isOurs) return;
    const { opened_ms } = line;
    line.opened_ms = undefined;
    if (opened_ms !== undefined && this.#time.now_ms() - opened_ms >= RETRY_MS_MAX) line.retry_ms = RETRY_MS;
    line.cancelRetry = this.#time.after(line.retry_ms, () => this.#connectSoon(line));
    line.retry_ms = Math.min(RETRY_MS_MAX, 2 * line.retry_ms);
  }
}

function keyOf(nodeId: number, path: number): string {
  return `${nodeId}/${path}`;
}
