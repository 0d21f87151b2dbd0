// `rainfront lock` and `rainfront locks`, as an operator runs them.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findSetpriv } from "../../lib/cli/deathSignal.js";
import { run } from "../../lib/cli/run.js";
import { withLocks } from "./fakeLocks.js";

const HAS_SETPRIV = findSetpriv() !== undefined;
const MAIN = fileURLToPath(new URL("../../lib/cli/main.ts", import.meta.url));

async function rainfront(...args: string[]) {
  const text = { out: "", err: "" };
  const console = {
    out: (more: string) => {
      text.out += more;
    },
    err: (more: string) => {
      text.err += more;
    },
    isTerminal: false,
  };
  return { status: await run(args, console), ...text };
}

/** A command of its own, as an operator runs it; with other variables in its environment, if those come first. */
function start(
  first: NodeJS.ProcessEnv | string,
  ...rest: string[]
): {
  readonly child: ChildProcess;
  readonly said: () => string;
  saying(text: string): Promise<void>;
} {
  const [env, args] = typeof first === "string" ? [{}, [first, ...rest]] : [first, rest];
  const child = spawn(process.execPath, ["--import", "tsx", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let text = "";
  const more = (chunk: Buffer) => {
    text += chunk.toString();
  };
  child.stdout?.on("data", more);
  child.stderr?.on("data", more);
  return {
    child,
    said: () => text,
    saying: async (expected) => {
      while (!text.includes(expected)) {
        assert.ok(child.exitCode === null && child.stdout, `ended without saying ${expected}: ${text}`);
        await once(child.stdout, "data");
      }
    },
  };
}

const endOf = async (child: ChildProcess): Promise<unknown> => child.exitCode ?? (await once(child, "close"))[0];

// Each test has a daemon of its own, and waits for others most of the time.
const OPTIONS = { concurrency: 4 };

describe("rainfront lock", OPTIONS, () => {
  test("runs the command with the lock in its environment, and ends with its status", async () => {
    await withLocks(async ({ socket, folder }, locks) => {
      const script = 'printf "%s %s %s" "$RAINFRONT_LOCK" "$RAINFRONT_LOCK_FENCE" "$1" > "$0"; exit 7';
      const file = join(folder, "out");
      const { status, err } = await rainfront(
        "lock",
        "backup",
        "--socket",
        socket,
        "--",
        "sh",
        "-c",
        script,
        file,
        "--full",
      );
      assert.equal(status, 7, err);
      assert.equal(readFileSync(file, "utf8"), "backup 42 --full");
      assert.deepEqual(locks.released, [1]);
      assert.match(locks.asked[0]?.params.client ?? "", /^pid \d+: sh$/);
    });
  });

  test("ends like a command that was killed", async () => {
    await withLocks(async ({ socket }) => {
      assert.equal((await rainfront("lock", "a", "--socket", socket, "--", "sh", "-c", "kill -TERM $$")).status, 143);
    });
  });

  test("ends with 124 without running anything when the lock is not free in time", async () => {
    await withLocks(async ({ socket, folder }, locks) => {
      locks.grants = false;
      const file = join(folder, "ran");
      const ended = rainfront("lock", "a", "--wait", "0.5", "--ttl", "2", "--socket", socket, "--", "touch", file);
      await locks.until(() => locks.asked.length === 1);
      assert.deepEqual([locks.asked[0]?.params.wait_ms, locks.asked[0]?.params.ttl_ms], [500, 2000]);
      locks.asked[0]?.tell({ type: "refused", reason: "timeout" });
      const { status, err } = await ended;
      assert.equal(status, 124);
      assert.match(err, /^rainfront: RF_LOCK_TIMEOUT: the lock a was not free within 500 ms \(fix: .*\)\n$/);
      assert.equal(existsSync(file), false);
    });
  });

  test("ends with 125 when no daemon runs, 127 when there is no such command, 126 when it is none", async () => {
    assert.equal((await rainfront("lock", "a", "--socket", "/nonexistent/socket", "--", "true")).status, 125);
    await withLocks(async ({ socket }, locks) => {
      assert.equal((await rainfront("lock", "a", "--socket", socket, "--", "/nonexistent/command")).status, 127);
      assert.equal((await rainfront("lock", "a", "--socket", socket, "--", "/etc/passwd")).status, 126);
      assert.deepEqual(locks.released, [1, 2]);
    });
  });

  test("says in its own words which command cannot be run, and why", async () => {
    await withLocks(async ({ socket, folder }) => {
      const [lost, plain] = [join(folder, "lost"), join(folder, "plain")];
      writeFileSync(lost, "#!/nonexistent/sh\n", { mode: 0o755 });
      writeFileSync(plain, "#!/bin/sh\n", { mode: 0o644 });
      const cases = [
        ["/nonexistent/command", 127, "ENOENT"],
        ["no-such-command", 127, "ENOENT"],
        [lost, 127, "ENOENT"],
        [plain, 126, "EACCES"],
        [folder, 126, "EACCES"],
      ] as const;
      for (const [command, expected, reason] of cases) {
        const { status, err } = await rainfront("lock", "a", "--socket", socket, "--", command);
        assert.equal(status, expected, command);
        assert.ok(
          err.startsWith(`rainfront: RF_LOCK_COMMAND: ${command} cannot be run: spawn ${command} ${reason}`),
          err,
        );
      }
    });
  });

  test("runs what execvp runs: a script without a first line of its own, a file of the PATH", async () => {
    await withLocks(async ({ socket, folder }) => {
      const script = join(folder, "script");
      writeFileSync(script, "exit 9\n", { mode: 0o755 });
      assert.equal((await rainfront("lock", "a", "--socket", socket, "--", script)).status, 9);
      assert.equal((await rainfront("lock", "a", "--socket", socket, "--", "true")).status, 0);
      assert.equal((await rainfront("lock", "a", "--socket", socket, "--", "sh", "-c", "exit 127")).status, 127);
    });
  });

  for (const args of [
    ["lock"],
    ["lock", "a"],
    ["lock", "a", "--wait", "soon", "--", "true"],
    ["lock", "a", "--ttl", "-1", "--", "true"],
  ]) {
    test(`ends with 2 for wrong usage: ${args.join(" ")}`, async () => {
      assert.equal((await rainfront(...args)).status, 2);
    });
  }

  test("stops the command and ends with 123 when the lock is lost", async () => {
    await withLocks(async ({ socket }, locks) => {
      const command = start(
        "lock",
        "a",
        "--socket",
        socket,
        "--",
        "sh",
        "-c",
        'trap "echo stopped; exit 0" TERM; echo runs; while :; do sleep 0.05; done',
      );
      await command.saying("runs");
      locks.asked[0]?.tell({ type: "lost", reason: "expired" });
      assert.equal(await endOf(command.child), 123, command.said());
      assert.match(command.said(), /RF_LOCK_LOST: the lock a is lost \(expired\).*--ttl/);
      assert.match(command.said(), /stopped/);
    });
  });

  test("kills a command that does not stop within the grace, with all its children", async () => {
    await withLocks(async ({ socket }, locks) => {
      const script =
        'trap "" TERM; sh -c "trap \\"\\" TERM; echo child=\\$\\$.; while :; do sleep 0.05; done" & wait; wait';
      const command = start("lock", "a", "--grace", "0.2", "--socket", socket, "--", "sh", "-c", script);
      await command.saying(".\n");
      const child = Number(/child=(\d+)/.exec(command.said())?.[1]);
      locks.asked[0]?.tell({ type: "lost", reason: "view" });
      assert.equal(await endOf(command.child), 123, command.said());
      assert.equal(isRunning(child), false);
    });
  });

  test("stops the command when the daemon goes away", async () => {
    await withLocks(async ({ socket, server }) => {
      const command = start("lock", "a", "--socket", socket, "--", "sh", "-c", "echo runs; exec sleep 60");
      await command.saying("runs");
      await server.close();
      assert.equal(await endOf(command.child), 123);
      assert.match(command.said(), /lost \(daemon\)/);
    });
  });

  test("passes signals on to the command, and gives the lock back when that ends", async () => {
    await withLocks(async ({ socket }, locks) => {
      const script = 'trap "echo usr1" USR1; trap "exit 9" INT; echo runs; while :; do sleep 0.05; done';
      const command = start("lock", "a", "--socket", socket, "--", "sh", "-c", script);
      await command.saying("runs");
      command.child.kill("SIGUSR1");
      await command.saying("usr1");
      command.child.kill("SIGINT");
      assert.equal(await endOf(command.child), 9);
      assert.deepEqual(locks.released, [1]);
    });
  });

  test("stops waiting for a lock when it is interrupted", async () => {
    await withLocks(async ({ socket }, locks) => {
      locks.grants = false;
      const command = start("lock", "a", "--socket", socket, "--", "true");
      await locks.until(() => locks.asked.length === 1);
      command.child.kill("SIGTERM");
      assert.equal(await endOf(command.child), 143);
      await locks.until(() => locks.released.includes(1));
    });
  });

  test("gives the lock back when it is killed, and the command is killed, too", {
    skip: !HAS_SETPRIV,
    timeout: 60_000,
  }, async () => {
    await withLocks(async ({ socket }, locks) => {
      // The first one is the command, the second one its child.
      const script = "sleep 60 & echo $$ $!.; wait";
      const command = start("lock", "a", "--socket", socket, "--", "sh", "-c", script);
      await command.saying(".\n");
      const [own = 0, child = 0] = command
        .said()
        .split(" ")
        .map((pid) => Number.parseInt(pid, 10));
      command.child.kill("SIGKILL");
      await locks.until(() => locks.released.includes(1));
      await ended(own);
      assert.ok(isRunning(child), "the kernel's signal goes to the command alone");
      process.kill(child, "SIGKILL");
    });
  });

  test("gives the lock back when it is killed, and without setpriv the command goes on", async () => {
    await withLocks(async ({ socket, folder }, locks) => {
      const script = "echo $$.; exec /bin/sleep 60";
      const command = start({ PATH: folder }, "lock", "a", "--socket", socket, "--", "/bin/sh", "-c", script);
      await command.saying(".\n");
      const pid = Number.parseInt(command.said(), 10);
      command.child.kill("SIGKILL");
      await locks.until(() => locks.released.includes(1));
      assert.ok(isRunning(pid));
      process.kill(pid, "SIGKILL");
    });
  });

  test("leaves nothing of its helper to be seen by the command", { skip: !HAS_SETPRIV }, async () => {
    await withLocks(async ({ socket, folder }) => {
      const file = join(folder, "out");
      const script = 'tr "\\0" " " < /proc/$$/cmdline > "$0"; exit 3';
      assert.equal(
        (await rainfront("lock", "a", "--socket", socket, "--", "sh", "-c", script, file, "--", "-x")).status,
        3,
      );
      assert.equal(readFileSync(file, "utf8"), `sh -c ${script} ${file} -- -x `);
    });
  });
});

/** Resolves when a process of somebody else's has ended. */
async function ended(pid: number): Promise<void> {
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A zombie that nobody has waited for runs no more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("rainfront locks", () => {
  test("shows who has which lock", async () => {
    await withLocks(async ({ socket }) => {
      const { status, out } = await rainfront("locks", "--socket", socket);
      assert.equal(status, 0);
      assert.match(out, /^backup +gw2 +18446744073709551615 +3$/m);
      assert.match(out, /^orphan +- +- +1$/m);
    });
  });

  test("prints one line of JSON", async () => {
    await withLocks(async ({ socket }, locks) => {
      const { out } = await rainfront("locks", "--json", "--socket", socket);
      assert.deepEqual(JSON.parse(out), { locks: locks.list() });
      assert.equal(out.trim().split("\n").length, 1);
    });
  });
});
