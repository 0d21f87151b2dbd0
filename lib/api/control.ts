// The daemon's end of the control socket. The daemon starts it before it touches anything else on the machine (a second
// daemon is refused here) and closes it last. Only the user that runs the daemon can connect: the socket has mode 0600 in
// a folder that others cannot write to.

import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { RainfrontError } from "../errors.js";
import { isListening } from "./controlClient.js";
import { acquireDaemonLock, alreadyRunning, type DaemonLock, prepareStateDir } from "./controlLock.js";
import {
  type AwayParams,
  type ControlRequest,
  type ControlResults,
  type DrainParams,
  type GatewayStatus,
  type MoveParams,
  REQUEST_BYTES_MAX,
  requestSchema,
} from "./controlProtocol.js";
import type { ExplainParams, FlowExplanation, FlowOverview, FlowsParams } from "./flowProtocol.js";
import type { LockProvider } from "./lockProtocol.js";
import { LockSession } from "./lockSession.js";

/** More at a time are turned away with RF_CONTROL_BUSY. */
const CONNECTIONS_MAX = 16;
/** Besides those: connections that have a lock or wait for one. */
const LOCK_CONNECTIONS_MAX = 256;
/** A connection that says nothing for so long is closed, unless it has to do with a lock. */
const IDLE_MS = 30_000;
/** How long `close` waits for requests under way and for peers to hang up before it cuts connections. */
const CLOSE_GRACE_MS = 500;

/** What the daemon does for each method. An error thrown here reaches the command with its code and fix. */
export interface ControlHandlers {
  status(): GatewayStatus | Promise<GatewayStatus>;
  move(params: MoveParams): void | Promise<void>;
  /** Lets a node give its VIPs and flows to the others, or ends that. Resolves when it is asked for. */
  drain(params: DrainParams): void | Promise<void>;
  /** The flows that this node remembers, or some of them. */
  flows(params: FlowsParams): Promise<FlowOverview>;
  /** Who handles a flow, who knows so, and why: asks the other nodes, too. */
  explain(params: ExplainParams): Promise<FlowExplanation>;
  /** Asks for a place again. */
  join(): void | Promise<void>;
  /** Reads the key file again. */
  reloadKeys(): { readonly keys: number } | Promise<{ readonly keys: number }>;
  /** Resolves when the node has left and everything it installed is gone; the daemon closes the server after that. */
  down(): void | Promise<void>;
  /** Resolves when the others have agreed and the node has left, while its data plane goes on; the daemon closes the server after that. */
  away(params: AwayParams): void | Promise<void>;
  /** Absent: locks are refused with RF_LOCK_UNAVAILABLE. */
  readonly locks?: LockProvider;
}

type LockRequest = Extract<ControlRequest, { method: "lock" }>;

export class ControlServer {
  readonly #path: string;
  readonly #lock: DaemonLock;
  readonly #handlers: ControlHandlers;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  /** Connections with a request under way. */
  readonly #busy = new Set<Socket>();
  readonly #lockSessions = new Map<Socket, LockSession>();
  #closing = false;

  private constructor(path: string, lock: DaemonLock, handlers: ControlHandlers) {
    this.#path = path;
    this.#lock = lock;
    this.#handlers = handlers;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Takes the state folder's lock and listens. RF_ALREADY_RUNNING if another daemon has it, RF_STATE_DIR if it is unsafe. */
  static async start(path: string, handlers: ControlHandlers): Promise<ControlServer> {
    prepareStateDir(dirname(path));
    const lock = acquireDaemonLock(dirname(path));
    try {
      // The lock cannot see a daemon in another process namespace; its socket can be seen.
      if (await isListening(path)) throw alreadyRunning(undefined);
      rmSync(path, { force: true });
      const server = new ControlServer(path, lock, handlers);
      await server.#listen();
      return server;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** Stops listening, finishes the requests under way, removes socket and lock. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#connections) if (!this.#busy.has(socket)) socket.end();
    const cut = setTimeout(() => {
      for (const socket of this.#connections) socket.destroy();
    }, CLOSE_GRACE_MS);
    await closed;
    clearTimeout(cut);
    rmSync(this.#path, { force: true });
    this.#lock.release();
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      // Node binds before listen() returns, so the mask holds for the socket and for nothing else.
      const mask = process.umask(0o177);
      try {
        this.#server.listen(this.#path, () => {
          this.#server.removeListener("error", reject);
          this.#server.on("error", () => {}); // a failed accept must not end the daemon
          resolve();
        });
      } finally {
        process.umask(mask);
      }
      chmodSync(this.#path, 0o600);
    });
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {}); // the peer went away; "close" follows
    if (this.#connections.size - this.#lockSessions.size >= CONNECTIONS_MAX) {
      socket.end(errorLine(null, busy(CONNECTIONS_MAX)));
      socket.resume();
      return;
    }
    this.#connections.add(socket);
    socket.on("close", () => {
      this.#connections.delete(socket);
      this.#lockSessions
        .get(socket)
        ?.release()
        .catch(() => {}); // nobody is left to be told
      this.#lockSessions.delete(socket);
    });
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    void this.#converse(socket);
  }

  /** One request after the other: reading stops while one is handled, so nothing piles up. */
  async #converse(socket: Socket): Promise<void> {
    let pending = Buffer.alloc(0);
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        pending = Buffer.concat([pending, chunk]);
        for (let end = pending.indexOf(10); end >= 0; end = pending.indexOf(10)) {
          if (end > REQUEST_BYTES_MAX) break;
          const line = pending.subarray(0, end).toString("utf8");
          pending = pending.subarray(end + 1);
          if (line.trim() === "") continue;
          this.#busy.add(socket);
          const answer = await this.#answer(line, socket);
          this.#busy.delete(socket);
          if (!this.#connections.has(socket)) return; // hung up meanwhile: what it asked for behind that is for nobody
          if (this.#closing) {
            socket.end(answer);
            return;
          }
          if (!socket.writableEnded) socket.write(answer);
        }
        if (pending.length > REQUEST_BYTES_MAX) {
          socket.end(errorLine(null, badRequest(`is longer than ${REQUEST_BYTES_MAX} bytes`)));
          return;
        }
      }
      socket.end();
    } catch {
      socket.destroy(); // cut by the peer in the middle of a request
    }
  }

  /** Empty: the answer comes later, while the connection is read on. */
  async #answer(line: string, socket: Socket): Promise<string> {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return errorLine(null, badRequest("is not JSON"));
    }
    const parsed = requestSchema.safeParse(value);
    if (!parsed.success) return errorLine(idOf(value), badRequest(describe(parsed.error.issues)));
    try {
      if (parsed.data.method === "lock") {
        this.#openLockSession(parsed.data, socket);
        return "";
      }
      return `${JSON.stringify({ id: parsed.data.id, result: await this.#handle(parsed.data, socket) })}\n`;
    } catch (error) {
      return errorLine(parsed.data.id, error);
    }
  }

  async #handle(
    request: Exclude<ControlRequest, LockRequest>,
    socket: Socket,
  ): Promise<ControlResults[ControlRequest["method"]]> {
    switch (request.method) {
      case "status":
        return this.#handlers.status();
      case "move":
        await this.#handlers.move(request.params);
        return {};
      case "drain":
        await this.#handlers.drain(request.params);
        return {};
      case "flows":
        return this.#handlers.flows(request.params);
      case "explain":
        return this.#handlers.explain(request.params);
      case "join":
        await this.#handlers.join();
        return {};
      case "reloadKeys":
        return this.#handlers.reloadKeys();
      case "down":
        await this.#handlers.down();
        return { pid: process.pid };
      case "away":
        await this.#handlers.away(request.params);
        return { pid: process.pid };
      case "locks":
        return { locks: await this.#lockProvider().list() };
      case "unlock":
        return this.#unlock(socket);
      default:
        return request satisfies never;
    }
  }

  #lockProvider(): LockProvider {
    if (this.#handlers.locks !== undefined) return this.#handlers.locks;
    throw new RainfrontError("RF_LOCK_UNAVAILABLE", "this daemon keeps no locks", { fix: "use a newer daemon" });
  }

  #openLockSession(request: LockRequest, socket: Socket): void {
    const provider = this.#lockProvider();
    if (this.#lockSessions.has(socket)) throw badRequest("is for a second lock: a connection can have one");
    if (this.#lockSessions.size >= LOCK_CONNECTIONS_MAX) throw busy(LOCK_CONNECTIONS_MAX);
    const say = (value: object) => void (socket.writable && socket.write(`${JSON.stringify(value)}\n`));
    const session = new LockSession(provider, request.params, {
      answer: (result) => say({ id: request.id, result }),
      refuse: (error) => void (socket.writable && socket.write(errorLine(request.id, error))),
      push: say,
      hangUp: () => socket.end(),
      get waitingBytes() {
        return socket.writableLength;
      },
    });
    socket.setTimeout(0);
    this.#lockSessions.set(socket, session);
  }

  /** The connection goes on as any other. */
  async #unlock(socket: Socket): Promise<Record<string, never>> {
    const session = this.#lockSessions.get(socket);
    if (session === undefined) throw badRequest("is to give back a lock that this connection does not have");
    await session.release();
    this.#lockSessions.delete(socket);
    socket.setTimeout(IDLE_MS);
    return {};
  }
}

function busy(connections: number): RainfrontError {
  return new RainfrontError("RF_CONTROL_BUSY", `${connections} control connections are open already`, {
    fix: "close some of them, then try again",
  });
}

function idOf(value: unknown): string | number | null {
  const id = typeof value === "object" && value !== null && "id" in value ? value.id : null;
  return typeof id === "number" || (typeof id === "string" && id.length <= 64) ? id : null;
}

function describe(issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]): string {
  const issue = issues[0];
  const path = issue?.path.map(String).join(".") ?? "";
  return `is not understood: ${path === "" ? "" : `${path}: `}${issue?.message ?? ""}`;
}

function badRequest(what: string): RainfrontError {
  return new RainfrontError("RF_CONTROL_REQUEST", `the request ${what}`, {
    fix: 'send one line such as {"id":1,"method":"status"}',
  });
}

function errorLine(id: string | number | null, error: unknown): string {
  const known =
    error instanceof RainfrontError
      ? error
      : new RainfrontError(
          "RF_INTERNAL",
          `the daemon failed: ${error instanceof Error ? error.message : String(error)}`,
          {
            fix: "see the daemon's log",
          },
        );
  return `${JSON.stringify({ id, error: { code: known.code, message: known.message, fix: known.fix } })}\n`;
}
