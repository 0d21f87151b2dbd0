// One member of a Rainfront group as a process: what corosync/cpg_client.c is for corosync. Started by rainfrontSystem.ts with
// its options as one JSON argument; see protocol.ts for what it reads and writes.

import { createInterface } from "node:readline";
import { type Adapter, type AdapterOptions, startAdapter } from "./adapter.js";
import { Histogram } from "./histogram.js";
import { END_BYTES, type Header, MessageWriter, readHeader, SequenceCheck } from "./messages.js";
import { type Go, type MemberCommand, type MemberEvent, now_us, parseCommand } from "./protocol.js";

class Run {
  readonly id: number;
  readonly check: SequenceCheck;
  readonly latency = new Histogram();
  delivered = 0;
  ended_us = 0;
  sent = 0;
  outstanding = 0;
  started_us = 0;
  private readonly senders: number;
  private readonly bytes: number;
  private readonly self: number;
  private readonly writer: MessageWriter;
  private readonly adapter: Adapter;
  private ends = 0;
  private sending: { readonly go: Go; readonly stop_us: number; next_us: number } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(command: MemberCommand & { command: "prepare" }, self: number, adapter: Adapter) {
    this.id = command.run;
    this.senders = command.senders;
    this.bytes = command.bytes;
    this.self = self;
    this.adapter = adapter;
    this.check = new SequenceCheck(command.bytes);
    this.writer = new MessageWriter(self, command.bytes);
  }

  go(go: Go): void {
    const now = now_us();
    this.sending = { go, stop_us: now + go.duration_ms * 1000, next_us: now + Math.random() * go.interval_us };
    this.pump();
  }

  /** Sends what time and the window allow, then the end message. */
  pump(): void {
    clearTimeout(this.timer);
    while (this.sending !== undefined) {
      const { go, stop_us, next_us } = this.sending;
      const now = now_us();
      if (now >= stop_us) {
        this.sending = undefined;
        this.multicast("end", END_BYTES, now);
        return;
      }
      const until_us = this.outstanding >= go.window ? stop_us : Math.min(next_us, stop_us);
      if (now < until_us) {
        this.timer = setTimeout(() => this.pump(), Math.ceil((until_us - now) / 1000));
        return;
      }
      this.multicast("data", this.bytes, now);
      if (this.sent === 0) this.started_us = now;
      this.sent++;
      this.outstanding++;
      // From half to one and a half intervals, so that senders do not fall into step with the token.
      if (go.interval_us > 0) this.sending.next_us = now + go.interval_us * (0.5 + Math.random());
    }
  }

  /** True when this was the last message of the run. */
  deliver(header: Header, message: Buffer): boolean {
    const now = now_us();
    this.check.deliver(header, message);
    if (header.kind === "end") return ++this.ends === this.senders;
    this.delivered++;
    this.ended_us = now;
    this.latency.add(now - header.sent_us);
    if (header.sender === this.self) {
      this.outstanding--;
      this.pump();
    }
    return false;
  }

  private multicast(kind: Header["kind"], bytes: number, sent_us: number): void {
    this.adapter.multicast(this.writer.write({ kind, run: this.id, number: this.sent, sent_us }, bytes));
  }
}

function tell(event: MemberEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function fail(error: Error): void {
  tell({ event: "failed", why: error.message });
  process.exitCode = 1;
  process.stdin.destroy();
}

function reportOf(run: Run): MemberEvent {
  const { id, sent, delivered, started_us, ended_us, check } = run;
  const latency = run.latency.pairs();
  return {
    ...{ event: "done", run: id, sent, delivered, refusals: 0, started_us, ended_us, latency },
    ...{ wrong: check.wrong, hash: check.hash },
  };
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? "{}") as AdapterOptions;
  let run: Run | undefined;
  const adapter = await startAdapter(options, {
    onMessage: (from, bytes) => {
      const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const header = readHeader(message);
      if (run === undefined || header?.run !== run.id || header.sender !== from) return;
      if (run.deliver(header, message)) tell(reportOf(run));
    },
    onView: (members) => tell({ event: "view", at_us: now_us(), members }),
    onError: fail,
  });
  createInterface(process.stdin)
    .on("line", (line) => {
      const command = parseCommand(line);
      if (command.command === "go") {
        run?.go(command);
        return;
      }
      run = new Run(command, options.nodeId, adapter);
      tell({ event: "prepared", run: run.id });
    })
    .on("close", () => process.exit());
}

main().catch(fail);
