import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ControlServer } from "../../lib/api/control.js";
import { callControl, waitUntilGone } from "../../lib/api/controlClient.js";
import { REQUEST_BYTES_MAX } from "../../lib/api/controlProtocol.js";
import { RainfrontError } from "../../lib/errors.js";
import { STATUS, withDaemon, withFolder } from "./daemon.js";

const idle = {
  status: () => STATUS,
  move: () => {},
  drain: () => {},
  flows: () => Promise.reject(new Error("no flows")),
  explain: () => Promise.reject(new Error("no flows")),
  join: () => {},
  reloadKeys: () => ({ keys: 1 }),
  down: () => {},
  away: () => {},
};
const rejectsWith = (promise: Promise<unknown>, code: string, text = /./) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof RainfrontError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });

/** Sends bytes and returns all that comes back until the server hangs up or a line is complete. */
async function raw(path: string, bytes: string, until: "line" | "end" = "line"): Promise<string> {
  const socket = connect(path);
  await once(socket, "connect");
  socket.on("error", () => {});
  socket.write(bytes);
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (until === "line" && text.includes("\n")) break;
  }
  return text;
}

const errorIn = (line: string) => (JSON.parse(line) as { error: { code: string; message: string } }).error;

describe("the control socket", () => {
  test("answers status, move and down", async () => {
    await withDaemon(async ({ socket, moves }) => {
      assert.deepEqual(await callControl(socket, "status", {}), STATUS);
      await callControl(socket, "move", { vip: "192.0.2.101", node: 2 });
      assert.deepEqual(moves, [{ vip: "192.0.2.101", node: 2 }]);
      assert.deepEqual(await callControl(socket, "down", {}), { pid: process.pid });
    });
  });

  test("answers away, with a time that a start of the daemon fits into", async () => {
    const asked: number[] = [];
    const away = ({ for_ms }: { readonly for_ms: number }) => void asked.push(for_ms);
    await withDaemon(
      async ({ socket }) => {
        assert.deepEqual(await callControl(socket, "away", { for_ms: 5000 }), { pid: process.pid });
        for (const for_ms of [0, 999, 60_001, 1000.5]) await assert.rejects(callControl(socket, "away", { for_ms }));
        assert.deepEqual(asked, [5000]);
      },
      { away },
    );
  });

  test("is for the daemon's user only, in a folder that is too", async () => {
    await withFolder(async (folder) => {
      const before = process.umask(0);
      const server = await ControlServer.start(join(folder, "state", "control.sock"), idle);
      try {
        assert.equal(process.umask(before), 0, "the process' own mask is back");
        assert.equal(statSync(join(folder, "state")).mode & 0o777, 0o700);
        assert.equal(statSync(join(folder, "state", "control.sock")).mode & 0o777, 0o600);
      } finally {
        await server.close();
      }
    });
  });

  test("leaves nothing behind when it is closed", async () => {
    await withFolder(async (folder) => {
      const server = await ControlServer.start(join(folder, "control.sock"), idle);
      await server.close();
      assert.deepEqual(readdirSync(folder), []);
    });
  });

  test("carries a handler's refusal with its code and fix", async () => {
    const move = () => {
      throw new RainfrontError("RF_NODE_UNKNOWN", "there is no such node", { fix: "look" });
    };
    await withDaemon(
      async ({ socket }) => {
        await assert.rejects(callControl(socket, "move", { vip: "192.0.2.101", node: 9 }), {
          code: "RF_NODE_UNKNOWN",
          message: "there is no such node",
          fix: "look",
        });
      },
      { move },
    );
  });

  test("survives a handler that fails", async () => {
    const status = () => {
      throw new TypeError("oops");
    };
    await withDaemon(
      async ({ socket }) => {
        await rejectsWith(callControl(socket, "status", {}), "RF_INTERNAL", /oops/);
        await callControl(socket, "move", { vip: "192.0.2.101", node: 1 });
      },
      { status },
    );
  });

  test("answers several requests on one connection, in order", async () => {
    await withDaemon(async ({ socket }) => {
      const text = await raw(socket, '{"id":"a","method":"down"}\n\n{"id":2,"method":"nothing"}\n', "line");
      const lines = text.trim().split("\n");
      assert.deepEqual(JSON.parse(lines[0] ?? ""), { id: "a", result: { pid: process.pid } });
    });
  });
});

describe("a bad request is answered with a coded error:", () => {
  const cases: readonly (readonly [title: string, line: string, says: RegExp])[] = [
    ["not JSON", "hello", /not JSON/],
    ["not an object", "[1,2]", /not understood/],
    ["null", "null", /not understood/],
    ["an unknown method", '{"id":1,"method":"reboot"}', /method/],
    ["no id", '{"method":"status"}', /id/],
    ["unknown parameters", '{"id":1,"method":"status","params":{"deep":true}}', /params/],
    ["a VIP that is no address", '{"id":1,"method":"move","params":{"vip":"x","node":1}}', /params.vip/],
    ["a node that is no id", '{"id":1,"method":"move","params":{"vip":"192.0.2.101","node":1.5}}', /params.node/],
    ["bytes that are no UTF-8", "\u0000\u0001\ufffd", /not JSON/],
  ];
  for (const [title, line, says] of cases) {
    test(title, async () => {
      await withDaemon(async ({ socket }) => {
        const error = errorIn(await raw(socket, `${line}\n`));
        assert.equal(error.code, "RF_CONTROL_REQUEST");
        assert.match(error.message, says);
        assert.deepEqual(await callControl(socket, "status", {}), STATUS);
      });
    });
  }

  test("longer than 64 KiB, complete or not", async () => {
    await withDaemon(async ({ socket }) => {
      for (const end of ["", "\n"]) {
        const text = await raw(socket, "x".repeat(REQUEST_BYTES_MAX + 1) + end, "end");
        assert.match(errorIn(text).message, /longer than 65536 bytes/);
      }
      assert.deepEqual(await callControl(socket, "status", {}), STATUS);
    });
  });

  test("a peer that hangs up in the middle does no harm", async () => {
    await withDaemon(async ({ socket }) => {
      const peer = connect(socket);
      await once(peer, "connect");
      peer.write('{"id":1,"meth');
      peer.destroy();
      assert.deepEqual(await callControl(socket, "status", {}), STATUS);
    });
  });
});

test("too many connections are turned away, and served again when one closes", async () => {
  await withDaemon(async ({ socket }) => {
    const peers: Socket[] = [];
    for (let i = 0; i < 16; i++) {
      const peer = connect(socket);
      peers.push(peer);
      peer.write('{"id":1,"method":"status"}\n');
      await once(peer, "data");
    }
    await rejectsWith(callControl(socket, "status", {}), "RF_CONTROL_BUSY");
    for (const peer of peers) {
      peer.end();
      peer.resume();
      await once(peer, "close");
    }
    assert.deepEqual(await callControl(socket, "status", {}), STATUS);
  });
});

describe("a second daemon", () => {
  test("is refused with the pid of the first, which goes on", async () => {
    await withDaemon(async ({ socket }) => {
      await rejectsWith(ControlServer.start(socket, idle), "RF_ALREADY_RUNNING", new RegExp(`pid ${process.pid},`));
      assert.deepEqual(await callControl(socket, "status", {}), STATUS);
    });
  });

  test("is refused even if it cannot see the first one's process", async () => {
    await withFolder(async (folder) => {
      const path = join(folder, "control.sock");
      const foreign = createServer().listen(path);
      await once(foreign, "listening");
      await rejectsWith(ControlServer.start(path, idle), "RF_ALREADY_RUNNING");
      assert.ok(existsSync(path), "the first one's socket is left alone");
      assert.ok(!existsSync(join(folder, "daemon.lock")), "no lock is left behind");
      foreign.close();
    });
  });

  test("takes over what a killed daemon left behind", async () => {
    await withFolder(async (folder) => {
      const path = join(folder, "control.sock");
      const script = `import { ControlServer } from ${JSON.stringify(new URL("../../lib/api/control.ts", import.meta.url).href)};
        await ControlServer.start(${JSON.stringify(path)}, { status() {}, move() {}, down() {} });
        console.log("ready");`;
      const options = ["--import", "tsx", "--input-type=module", "-e", script];
      const child = spawn(process.execPath, options, { stdio: ["ignore", "pipe", "inherit"] });
      await once(child.stdout, "data");
      await rejectsWith(ControlServer.start(path, idle), "RF_ALREADY_RUNNING", new RegExp(`pid ${child.pid},`));
      child.kill("SIGKILL");
      await once(child, "exit");
      assert.deepEqual(readdirSync(folder).sort(), ["control.sock", "daemon.lock"]);
      await rejectsWith(callControl(path, "status", {}), "RF_NOT_RUNNING");

      const server = await ControlServer.start(path, idle);
      assert.deepEqual(await callControl(path, "status", {}), STATUS);
      await server.close();
    });
  });

  test("is not taken for the first when its pid is used again", async () => {
    await withFolder(async (folder) => {
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
      writeFileSync(join(folder, "daemon.lock"), JSON.stringify({ pid: 1, started: "1", boot }));
      const server = await ControlServer.start(join(folder, "control.sock"), idle);
      await server.close();
    });
  });

  test("is not kept away by a lock that was cut short", async () => {
    await withFolder(async (folder) => {
      writeFileSync(join(folder, "daemon.lock"), '{"pid":');
      const server = await ControlServer.start(join(folder, "control.sock"), idle);
      await server.close();
    });
  });

  test("wins or loses cleanly when many start at once", async () => {
    await withFolder(async (folder) => {
      writeFileSync(join(folder, "daemon.lock"), "stale");
      const path = join(folder, "control.sock");
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => ControlServer.start(path, idle)));
      const won = results.filter((result) => result.status === "fulfilled");
      assert.equal(won.length, 1);
      for (const result of won) await result.value.close();
    });
  });
});

describe("the state folder is refused when", () => {
  test("others may write to it", async () => {
    await withFolder(async (folder) => {
      chmodSync(folder, 0o777);
      await rejectsWith(ControlServer.start(join(folder, "control.sock"), idle), "RF_STATE_DIR", /others may write/);
    });
  });

  test("it is a file", async () => {
    await withFolder(async (folder) => {
      writeFileSync(join(folder, "state"), "");
      await rejectsWith(ControlServer.start(join(folder, "state", "control.sock"), idle), "RF_STATE_DIR");
    });
  });

  test("it cannot be made", async () => {
    await rejectsWith(ControlServer.start("/proc/rainfront/control.sock", idle), "RF_STATE_DIR", /cannot be made/);
  });
});

describe("a command", () => {
  test("says that no daemon runs, and how to start one", async () => {
    await assert.rejects(callControl("/nonexistent/control.sock", "status", {}), (error) => {
      assert.ok(error instanceof RainfrontError);
      assert.equal(error.code, "RF_NOT_RUNNING");
      assert.match(error.fix ?? "", /rainfront up/);
      return true;
    });
  });

  test("does not wait for ever for a daemon that is stuck", async () => {
    await withDaemon(
      async ({ socket }) => {
        const call = callControl(socket, "status", {}, { timeout_ms: 30 });
        await rejectsWith(call, "RF_CONTROL_TIMEOUT", new RegExp(`pid ${process.pid}`));
      },
      { status: () => new Promise(() => {}) },
    );
  });

  test("does not believe an answer of something else", async () => {
    await withFolder(async (folder) => {
      for (const answer of ["HTTP/1.1 400 Bad Request\n", '{"id":1,"result":{"pid":"many"}}\n', "{}\n"]) {
        const path = join(folder, `socket-${answer.length}`);
        const other = createServer((peer) => peer.on("error", () => {}).end(answer)).listen(path);
        await once(other, "listening");
        await rejectsWith(callControl(path, "status", {}), "RF_CONTROL_PROTOCOL");
        other.close();
      }
    });
  });

  test("gives up on an answer without end", async () => {
    await withFolder(async (folder) => {
      const path = join(folder, "socket");
      const other = createServer((peer) => {
        const pour = () => {
          while (peer.writable && peer.write("x".repeat(65_536)));
        };
        peer.on("error", () => {}).on("drain", pour);
        pour();
      }).listen(path);
      await once(other, "listening");
      await rejectsWith(callControl(path, "status", {}), "RF_CONTROL_PROTOCOL");
      other.close();
    });
  });

  test("gets the answer to a request that was under way when the server closes", async () => {
    await withFolder(async (folder) => {
      const path = join(folder, "control.sock");
      let release = () => {};
      let entered = () => {};
      const inside = new Promise<void>((resolve) => {
        entered = resolve;
      });
      const down = () => {
        entered();
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      };
      const server = await ControlServer.start(path, { ...idle, down });
      const answer = callControl(path, "down", {});
      await inside;
      const closed = server.close();
      release();
      assert.deepEqual(await answer, { pid: process.pid });
      await closed;
      await waitUntilGone(path, 1000);
    });
  });

  test("sees a folder where the socket should be as no daemon", async () => {
    await withFolder(async (folder) => {
      mkdirSync(join(folder, "control.sock"));
      await assert.rejects(callControl(join(folder, "control.sock"), "status", {}), { code: "RF_NOT_RUNNING" });
    });
  });
});
