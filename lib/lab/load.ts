// The load client: a process in the client's namespace that makes HTTP requests, each on a connection of its own. Started by
// loadDriver.ts as `node load.js SOURCES TARGETS PORT FIRST_SOURCE_PORT`; see loadProtocol.ts for what it reads and prints.

import { connect } from "node:net";
import { createInterface } from "node:readline";
import { Attention } from "./attention.js";
import {
  FIRST_SOURCE_PORT,
  LAST_SOURCE_PORT,
  type LoadEvent,
  loadCommandSchema,
  REQUEST_TIMEOUT_MS,
  type RequestResult,
} from "./loadProtocol.js";
import { ofFamilyOf } from "./plan.js";

/** So many requests may be open when a gateway has died; beyond it new ones are not begun. */
const OPEN_MAX = 4000;
/** Of a number of requests that is asked for: so many failures say enough, and each may have lasted as long as the limit. */
const FAILURES_MAX = 1000;

interface Addresses {
  readonly source: string;
  readonly sourcePort: number;
  readonly target: string;
  readonly targetPort: number;
}

/** Takes source addresses, source ports and targets in turn, so that no 5-tuple comes again before all others were used. */
export function* addressesInTurn(
  sources: readonly string[],
  targets: readonly string[],
  targetPort: number,
  firstPort = FIRST_SOURCE_PORT,
): Generator<Addresses, never> {
  // The first target moves on with every port: else each source would always meet the same target.
  for (let turn = 0; ; turn++) {
    const sourcePort =
      FIRST_SOURCE_PORT + ((firstPort - FIRST_SOURCE_PORT + turn) % (LAST_SOURCE_PORT - FIRST_SOURCE_PORT + 1));
    for (const [index, source] of sources.entries()) {
      const reachable = ofFamilyOf(source, targets);
      yield { source, sourcePort, target: reachable[(turn + index) % reachable.length] as string, targetPort };
    }
  }
}

/** The whole answer must be there: status 200 and as many bytes as it announced. */
export function errorOfAnswer(answer: string): string | undefined {
  const split = answer.indexOf("\r\n\r\n");
  if (split < 0) return answer === "" ? "no answer" : "short answer";
  const head = answer.slice(0, split);
  if (!/^HTTP\/1\.[01] 200 /.test(head)) return `answer: ${head.split("\r\n")[0]}`;
  const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
  return length === undefined || answer.length - split - 4 !== Number(length) ? "short answer" : undefined;
}

const clock_ms = () => Number(process.hrtime.bigint()) / 1e6;
const attention = new Attention(clock_ms);

function request(addresses: Addresses): Promise<RequestResult> {
  const begin_ms = clock_ms();
  const missedBefore_ms = attention.missed_ms;
  return new Promise((resolve) => {
    const { source, sourcePort, target, targetPort } = addresses;
    const socket = connect({ host: target, port: targetPort, localAddress: source, localPort: sourcePort });
    let answer = "";
    const finish = (error: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      const missed_ms = attention.missed_ms - missedBefore_ms;
      const result = { ...addresses, begin_ms, end_ms: clock_ms(), missed_ms };
      resolve(error === undefined ? result : { ...result, error });
    };
    const onTimeout = () => {
      const left_ms = begin_ms + REQUEST_TIMEOUT_MS + attention.missed_ms - missedBefore_ms - clock_ms();
      if (left_ms < 1) finish("timeout");
      else timer = setTimeout(onTimeout, left_ms);
    };
    let timer = setTimeout(onTimeout, REQUEST_TIMEOUT_MS);
    socket.setEncoding("latin1");
    socket.on("connect", () => socket.write(`GET / HTTP/1.1\r\nHost: ${target}\r\nConnection: close\r\n\r\n`));
    socket.on("data", (chunk: string) => {
      answer += chunk;
    });
    socket.on("end", () => finish(errorOfAnswer(answer)));
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}

class Load {
  readonly #next: Generator<Addresses, never>;
  /** When each open request was begun, by both clocks; the oldest first. */
  readonly #open = new Set<{ readonly begin_ms: number; readonly missed_ms: number }>();
  #left = 0;
  #failures = 0;
  #concurrency = 0;
  #stopping = false;
  #settle_ms: number | undefined;
  #ticker: NodeJS.Timeout | undefined;

  constructor(next: Generator<Addresses, never>) {
    this.#next = next;
  }

  count(total: number, concurrency: number): void {
    this.#left = total;
    this.#failures = 0;
    this.#concurrency = concurrency;
    this.#stopping = true; // idle is told when all are done
    this.#refill();
  }

  rate(per_s: number): void {
    this.#stopping = false;
    clearInterval(this.#ticker);
    const start_ms = clock_ms();
    let begun = 0;
    this.#ticker = setInterval(() => {
      for (const due = ((clock_ms() - start_ms) / 1000) * per_s; begun < due; begun++) {
        if (this.#open.size < OPEN_MAX) void this.#one();
      }
    }, 4);
  }

  stop(): void {
    clearInterval(this.#ticker);
    this.#left = 0;
    this.#stopping = true;
    this.#tellIfIdle();
  }

  settle(open_ms: number): void {
    this.#settle_ms = open_ms;
    this.#tellIfSettled();
  }

  #refill(): void {
    while (this.#left > 0 && this.#open.size < this.#concurrency) {
      this.#left--;
      void this.#one();
    }
  }

  async #one(): Promise<void> {
    const open = { begin_ms: clock_ms(), missed_ms: attention.missed_ms };
    this.#open.add(open);
    let result = await request(this.#next.next().value);
    // The port was taken: nothing was sent, so this was no request yet.
    while (result.error === "EADDRINUSE") result = await request(this.#next.next().value);
    this.#open.delete(open);
    tell({ event: "result", result });
    if (result.error !== undefined && ++this.#failures >= FAILURES_MAX) this.#left = 0;
    this.#refill();
    this.#tellIfSettled();
    this.#tellIfIdle();
  }

  #tellIfSettled(): void {
    if (this.#settle_ms === undefined) return;
    const now_ms = clock_ms();
    const [oldest = { begin_ms: now_ms, missed_ms: attention.missed_ms }] = this.#open;
    if (now_ms - oldest.begin_ms - (attention.missed_ms - oldest.missed_ms) > this.#settle_ms) return;
    this.#settle_ms = undefined;
    tell({ event: "settled", since_ms: oldest.begin_ms });
  }

  #tellIfIdle(): void {
    if (!this.#stopping || this.#open.size > 0 || this.#left > 0) return;
    this.#stopping = false;
    tell({ event: "idle" });
  }
}

function tell(event: LoadEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function main([sources = "", targets = "", port = "", firstPort = ""]: readonly string[]): void {
  attention.start();
  const next = addressesInTurn(sources.split(","), targets.split(","), Number(port), Number(firstPort));
  const load = new Load(next);
  const commands = createInterface({ input: process.stdin });
  commands.on("line", (line) => {
    const command = loadCommandSchema.parse(JSON.parse(line));
    switch (command.do) {
      case "count":
        return load.count(command.total, command.concurrency);
      case "rate":
        return load.rate(command.per_s);
      case "stop":
        return load.stop();
      case "settle":
        return load.settle(command.open_ms);
    }
  });
  commands.on("close", () => process.exit(0));
}

if (process.argv[1] !== undefined && /[/\\]load\.[jt]s$/.test(process.argv[1])) main(process.argv.slice(2));
