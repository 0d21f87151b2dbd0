// When the load client says that its requests have settled: the program itself, against a server on loopback that answers when it is told to.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { type LoadCommand, type LoadEvent, loadEventSchema } from "../../lib/lab/loadProtocol.js";
import { measureFor, now_ms, waitFor } from "../../lib/lab/waiting.js";

const PROGRAM = join(import.meta.dirname, "../../lib/lab/load.ts");
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const ALLOWED_MS = 50;
/** The client does not count what it missed itself: so much of this a busy machine may keep from it. */
const OPEN_MS = 10 * ALLOWED_MS;

test("requests have settled only once none is open for longer than asked", { timeout: 20_000 }, async (t) => {
  const held: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => held.push(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const argv = ["--import", "tsx", PROGRAM, "127.0.0.1", "127.0.0.1", String(port)];
  const load = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => {
    load.kill("SIGKILL");
    server.close();
  });
  const lines = createInterface({ input: load.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<LoadEvent> => loadEventSchema.parse(JSON.parse((await lines.next()).value));
  const send = (command: LoadCommand) => load.stdin.write(`${JSON.stringify(command)}\n`);

  send({ do: "settle", open_ms: ALLOWED_MS });
  assert.equal((await next()).event, "settled", "nothing is open");

  send({ do: "count", total: 1, concurrency: 1 });
  const begun_ms = await waitFor("the request has come", { deadline_ms: 5000 }, async () =>
    held.length > 0 ? { met: now_ms() } : { unmet: "no request" },
  );
  await measureFor(begun_ms + OPEN_MS - now_ms()); // it has been open for longer than allowed
  send({ do: "settle", open_ms: ALLOWED_MS });
  // Were it told too early, it would come before the result.
  const first = next();
  const later = await Promise.race([first, measureFor(ALLOWED_MS).then(() => "nothing")]);
  assert.equal(later, "nothing");
  held[0]?.end(ANSWER);
  const told = [await first, await next(), await next()];
  assert.deepEqual(told.map(({ event }) => event).sort(), ["idle", "result", "settled"]);
  const [result, settled] = [told.find((event) => event.event === "result"), told.find((e) => e.event === "settled")];
  assert.ok(result?.event === "result" && settled?.event === "settled");
  assert.equal(result.result.error, undefined);
  assert.ok(settled.since_ms > result.result.begin_ms);
});
