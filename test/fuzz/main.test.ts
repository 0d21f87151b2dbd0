// The command: exit status, the files it leaves, and that what it finds can be run again.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const PLANTED = fileURLToPath(new URL("planted.ts", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "rainfront-fuzz-"));
const corpus = join(scratch, "corpus");
const findings = join(scratch, "findings");

after(() => rmSync(scratch, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A slow machine takes seconds of processor time until memory is exhausted: only who hangs is to be taken for hanging. */
const HANG_S = 30;

function fuzz(...args: string[]): Promise<Ended> {
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const places = ["--module", PLANTED, "--corpus", corpus, "--findings", findings, "--hang", `${HANG_S}`];
  const child = spawn(process.execPath, ["--import", "tsx", MAIN, ...places, ...args], { env });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stdout, stderr })));
}

function findingFile(stdout: string): string {
  const file = /--replay (\S+)$/m.exec(stdout)?.[1];
  assert.ok(file, stdout);
  return file;
}

describe("npm run fuzz", { concurrency: 2 }, () => {
  for (const [target, kind, status] of [
    ["magic", "throws", 10],
    ["forgetful", "wrong", 11],
    ["buffer", "allocates", 12],
    ["hanging", "hangs", 14],
    ["exhausting", "dies", 15],
  ] as const) {
    test(`ends with ${status} when a decoder does as in ${target} (${kind}), and the input it leaves does it again`, async () => {
      const hang = kind === "hangs" ? ["--hang", "1"] : [];
      const found = await fuzz("--target", target, "--runs", "200000", "--seed", "2", ...hang);
      assert.equal(found.status, status, found.stderr);
      const again = await fuzz("--replay", findingFile(found.stdout), ...hang);
      assert.equal(again.status, status, again.stderr);
    });
  }

  test("ends with 0 and one line of JSON when nothing is found, and saves what reached more", async () => {
    const { status, stdout } = await fuzz("--target", "sound", "--runs", "3000", "--seed", "1", "--json");
    assert.equal(status, 0);
    const result = JSON.parse(stdout) as { ok: boolean; seed: number; targets: { runs: number; added: number }[] };
    assert.equal(result.ok, true);
    assert.equal(result.seed, 1);
    assert.ok((result.targets[0]?.runs ?? 0) >= 3000);
    assert.equal(readdirSync(join(corpus, "sound")).length, result.targets[0]?.added);
    assert.ok((result.targets[0]?.added ?? 0) > 0);
  });

  test("runs the corpus first and leaves it alone with --no-save", async () => {
    const own = join(scratch, "own", "magic");
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, "deadly.bin"), Uint8Array.of(0xc3, 0x5a, 0x17));
    const { status, stdout } = await fuzz(
      "--corpus",
      join(scratch, "own"),
      "--target",
      "magic",
      "--runs",
      "1",
      "--no-save",
    );
    assert.equal(status, 10);
    assert.deepEqual([...readFileSync(findingFile(stdout))], [0xc3, 0x5a, 0x17]);
    assert.deepEqual(readdirSync(own), ["deadly.bin"]);
  });

  test("refuses what it does not understand with 2 and the way to the help", async () => {
    for (const args of [
      ["--nonsense"],
      ["--minutes", "0"],
      ["--seed", "x"],
      ["--target", "none"],
      ["--replay", "none"],
    ]) {
      const { status, stderr } = await fuzz(...args);
      assert.equal(status, 2, args.join(" "));
      assert.match(stderr, /RF_USAGE: .*--help/);
    }
  });

  test("says with --help what every exit status means", async () => {
    const { status, stdout } = await fuzz("--help");
    assert.equal(status, 0);
    for (const code of [0, 1, 2, 10, 11, 12, 13, 14, 15]) assert.match(stdout, new RegExp(`\\b${code} `));
  });
});
