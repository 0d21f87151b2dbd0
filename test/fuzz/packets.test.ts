// The fuzzer of the packet path: it finds what is planted in its target, from the vectors alone, and takes all that it has started along when it ends.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { readVectors } from "../vectors/vector.js";
import type { PacketResult } from "./packets.js";
import { findCompiler } from "./steerFuzz.js";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "rainfront-fuzz-"));
const findings = join(scratch, "findings");
const compiler = await findCompiler();
const skip = "missing" in compiler ? `skipped: ${compiler.missing}` : false;

after(() => rmSync(scratch, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const { NODE_TEST_CONTEXT: _context, ...own } = process.env;
  const all = ["--import", "tsx", MAIN, "--packets", "--findings", findings, "--seed", "1", ...args];
  return spawn(process.execPath, all, { env: { ...own, TMPDIR: scratch, ...env } });
}

function endOf(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stdout, stderr })));
}

function resultOf({ stdout, stderr }: Ended): PacketResult {
  assert.match(stdout, /^\{.*\}\n$/, stderr);
  return JSON.parse(stdout) as PacketResult;
}

/** Programs of ours that work below the scratch folder. */
function programsLeft(): string[] {
  const commands = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });
  return commands.filter((command) => command.includes("steer_fuzz") && command.includes(scratch));
}

describe("npm run fuzz -- --packets", () => {
  test("ends with 0 and figures when nothing is found, and keeps what reached more where it is told to", {
    skip,
  }, async () => {
    const corpus = join(scratch, "corpus");
    const ended = await endOf(start(["--runs", "3000", "--json", "--corpus", corpus]));
    assert.equal(ended.status, 0, ended.stderr);
    const result = resultOf(ended);
    assert.deepEqual([result.ok, result.findings], [true, []]);
    assert.ok(result.seeds >= readVectors().length, "every vector is a seed");
    assert.ok(result.runs >= 3000 && result.seconds > 0);
    assert.ok(result.coverage > 500 && result.features > result.coverage);
    assert.ok(readdirSync(corpus).length > 0);
  });

  for (const [planted, kind, detail] of [
    ["overread", "dies", /^AddressSanitizer: heap-buffer-overflow/],
    ["circle", "wrong", /not relayed again \(rule 16\)/],
  ] as const) {
    test(`finds the planted ${planted} in the vectors, and the input that it leaves does it again`, {
      skip,
    }, async () => {
      const env = { RF_FUZZ_PLANT: planted };
      const found = await endOf(start(["--runs", "1", "--json"], env));
      assert.equal(found.status, 1, found.stderr);
      const [finding] = resultOf(found).findings;
      assert.ok(finding !== undefined && existsSync(finding.file));
      assert.equal(finding.kind, kind);
      assert.match(finding.detail, detail);
      const again = await endOf(start(["--replay", finding.file], env));
      assert.equal(again.status, 1);
      assert.match(again.stdout, new RegExp(`packets: ${kind}: `));
      const mended = await endOf(start(["--replay", finding.file, "--json"]));
      assert.equal(mended.status, 0, mended.stderr);
      assert.equal(resultOf(mended).runs, 1);
    });
  }

  test("ends by a signal with all that it has started", { skip, timeout: 120_000 }, async () => {
    const child = start(["--minutes", "5"]);
    const ended = endOf(child);
    await new Promise<void>((resolve) => {
      child.stderr?.on("data", (text: string) => {
        if (/packets: \d+ inputs, /.test(text)) resolve();
      });
    });
    assert.equal(programsLeft().length, 1);
    child.kill("SIGINT");
    assert.equal((await ended).status, 130);
    // It has been killed, but the kernel may still be at it.
    while (programsLeft().length > 0) await setTimeout(5);
    assert.deepEqual(
      readdirSync(scratch).filter((name) => name.startsWith("rainfront-packets-")),
      [],
    );
  });
});

/** Programs that are there, and do nothing else. */
function pathWith(...programs: string[]): string {
  const path = mkdtempSync(join(scratch, "bin-"));
  for (const program of programs)
    writeFileSync(join(path, program), '#!/bin/sh\n[ "$1" = --version ]\n', { mode: 0o755 });
  return path;
}

for (const [programs, why] of [
  [[], "no cmake"],
  [["cmake"], "no clang++"],
  [["cmake", "clang++", "clang++-14"], "clang++, clang++-14 without libFuzzer's runtime"],
] as const) {
  test(`--packets with [${programs}] says for the tests to count: ${why}`, async () => {
    const ended = await endOf(start(["--runs", "1", "--json"], { PATH: pathWith(...programs) }));
    assert.equal(ended.status, 1);
    assert.deepEqual(JSON.parse(ended.stdout), { ok: false, skipped: why });
    assert.match(ended.stderr, /fix: apt-get install/);
  });
}

test("--packets takes no options that are for decoders, and no input that is not there", async () => {
  for (const args of [["--target", "token"], ["--list"], ["--replay", join(scratch, "none")]]) {
    const { status, stderr } = await endOf(start(args));
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /RF_USAGE: .*--help/);
  }
});
