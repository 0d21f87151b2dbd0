// Connections that are held open while something happens to the gateways, in one file for both ends: `node held.js serve PORT` on a server, and `node held.js hold
// SOURCES TARGETS PORT` on the client, which reads commands and prints events (heldProtocol.ts). What a stream carries is compared by its hash. Started by
// heldDriver.ts.

import { createHash, randomBytes } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { type HeldEvent, type HeldKind, type HeldResult, heldCommandSchema } from "./heldProtocol.js";
import { ofFamilyOf } from "./plan.js";

const STREAM = "stream\n";
const ECHO = "echo\n";
const END = "end\n";
/** A slow download: so much, so often. More would only fill the machine, on which all gateways and servers are. */
const CHUNK_BYTES = 512;
const CHUNK_EVERY_MS = 1000;
const HASH_BYTES = 32;
/** An idle connection says something so often. */
const TALK_EVERY_MS = 5000;
const TALK_BYTES = 16;
/** So many are being opened at once. */
const OPENING_MAX = 64;
const OPEN_PATIENCE_MS = 10_000;
/** It is left as it stands, to be looked at. */
const UNFINISHED = "not finished in time";

function serve(port: number): void {
  const streams = new Map<Socket, ReturnType<typeof createHash>>();
  setInterval(() => {
    for (const [socket, hash] of streams) {
      const chunk = randomBytes(CHUNK_BYTES);
      hash.update(chunk);
      socket.write(chunk);
    }
  }, CHUNK_EVERY_MS);
  createServer((socket) => {
    let said = "";
    socket.on("error", () => {}); // the other end tells
    socket.on("close", () => streams.delete(socket));
    socket.on("data", function first(bytes: Buffer) {
      said += bytes.toString("latin1");
      if (said.startsWith(ECHO)) {
        socket.off("data", first);
        socket.write(Buffer.from(said.slice(ECHO.length), "latin1"));
        socket.pipe(socket);
      } else if (said.startsWith(STREAM + END)) {
        socket.end((streams.get(socket) ?? createHash("sha256")).digest());
        streams.delete(socket);
      } else if (said.startsWith(STREAM) && !streams.has(socket)) streams.set(socket, createHash("sha256"));
    });
  }).listen({ port, backlog: 4096 }, () => process.stdout.write("listening\n"));
}

/** One connection; its result is there when it has ended, whoever ended it. */
class Held {
  readonly ended: Promise<HeldResult>;
  readonly opened: Promise<boolean>;
  readonly #kind: HeldKind;
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #talker: NodeJS.Timeout | undefined;
  #unanswered: Buffer = Buffer.alloc(0);
  #isFinishing = false;
  #finish: (error: string | undefined) => void = () => {};

  constructor(kind: HeldKind, source: string, target: string, port: number) {
    this.#kind = kind;
    const socket = connect({ host: target, port, localAddress: source });
    this.#socket = socket;
    let sourcePort = 0;
    this.ended = new Promise((resolve) => {
      this.#finish = (error) => {
        clearInterval(this.#talker);
        if (error !== UNFINISHED) socket.destroy();
        const names = { kind, source, sourcePort, target, targetPort: port };
        resolve(error === undefined ? names : { ...names, error });
      };
    });
    this.opened = new Promise((resolve) => {
      socket.setTimeout(OPEN_PATIENCE_MS, () => this.#finish("not opened in time"));
      socket.on("connect", () => {
        socket.setTimeout(0);
        sourcePort = socket.localPort ?? 0;
        socket.write(kind === "download" ? STREAM : ECHO);
        if (kind === "idle") this.#talker = setInterval(() => this.#talk(), TALK_EVERY_MS);
        resolve(true);
      });
      socket.on("close", () => resolve(false));
    });
    socket.on("data", (bytes) => (kind === "download" ? this.#chunks.push(bytes) : this.#onEcho(bytes)));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#finish(error.code ?? error.message));
    socket.on("end", () => this.#finish(this.#isFinishing ? this.#faultOfStream() : "ended by the other end"));
  }

  /** It has so long to come to its end. */
  finish(patience_ms: number): void {
    this.#isFinishing = true;
    setTimeout(() => this.#finish(UNFINISHED), patience_ms).unref();
    if (this.#kind === "download") this.#socket.write(END);
    else this.#talk();
  }

  /** Nobody looks at it any more. */
  leave(): void {
    this.#socket.destroy();
  }

  #talk(): void {
    const words = randomBytes(TALK_BYTES);
    this.#unanswered = Buffer.concat([this.#unanswered, words]);
    this.#socket.write(words);
  }

  #onEcho(bytes: Buffer): void {
    if (!this.#unanswered.subarray(0, bytes.length).equals(bytes)) {
      this.#finish("another echo");
      return;
    }
    this.#unanswered = this.#unanswered.subarray(bytes.length);
    if (this.#isFinishing && this.#unanswered.length === 0) this.#finish(undefined);
  }

  #faultOfStream(): string | undefined {
    const all = Buffer.concat(this.#chunks);
    const content = all.subarray(0, Math.max(0, all.length - HASH_BYTES));
    const hash = createHash("sha256").update(content).digest();
    return content.length > 0 && hash.equals(all.subarray(content.length)) ? undefined : "other content";
  }
}

class Holder {
  readonly #sources: readonly string[];
  readonly #targets: readonly string[];
  readonly #port: number;
  #held: Held[] = [];
  #finished: Held[] = [];
  #turn = 0;

  constructor(sources: readonly string[], targets: readonly string[], port: number) {
    this.#sources = sources;
    this.#targets = targets;
    this.#port = port;
  }

  async open(downloads: number, idles: number): Promise<void> {
    const kinds: HeldKind[] = Array.from({ length: downloads + idles }, (_, n) =>
      n < downloads ? "download" : "idle",
    );
    let opened = 0;
    for (const held of this.#finished) held.leave();
    const openNext = async (): Promise<void> => {
      for (let kind = kinds.pop(); kind !== undefined; kind = kinds.pop()) {
        const held = this.#one(kind);
        this.#held.push(held);
        if (await held.opened) opened += 1;
      }
    };
    await Promise.all(Array.from({ length: OPENING_MAX }, openNext));
    tell({ event: "open", opened });
  }

  async finish(patience_ms: number): Promise<void> {
    for (const held of this.#held) held.finish(patience_ms);
    const results = await Promise.all(this.#held.map(({ ended }) => ended));
    this.#finished = this.#held;
    this.#held = [];
    tell({ event: "finished", results });
  }

  #one(kind: HeldKind): Held {
    const turn = this.#turn++;
    const source = this.#sources[turn % this.#sources.length] ?? "";
    const reachable = ofFamilyOf(source, this.#targets);
    const target = reachable[Math.floor(turn / this.#sources.length) % reachable.length] ?? "";
    return new Held(kind, source, target, this.#port);
  }
}

function tell(event: HeldEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function hold([sources = "", targets = "", port = ""]: readonly string[]): void {
  const holder = new Holder(sources.split(","), targets.split(","), Number(port));
  const commands = createInterface({ input: process.stdin });
  commands.on("line", (line) => {
    const command = heldCommandSchema.parse(JSON.parse(line));
    if (command.do === "open") void holder.open(command.downloads, command.idles);
    else void holder.finish(command.patience_ms);
  });
  commands.on("close", () => process.exit(0));
}

const [role, ...rest] = process.argv.slice(2);
if (role === "serve") serve(Number(rest[0]));
if (role === "hold") hold(rest);
