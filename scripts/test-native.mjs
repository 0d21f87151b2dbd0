// The native stages of `npm test`: the C++ tests under sanitizers, and the lines of a folder that they reach. Both are
// plain CMake builds in folders of their own. Called by test.mjs.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { ROOT } from "./process.mjs";
import { check, run, say, verdict } from "./test-stages.mjs";

const BUILDS = join(ROOT, "build-cmake");
/** The vectors of the packet path, for the native tests to read. */
const VECTORS = join(BUILDS, "vectors.txt");

export function nativeTests() {
  const folder = join(BUILDS, "sanitized");
  // Debug: assertions stay in, and a report names the line.
  const options = ["-DCMAKE_BUILD_TYPE=Debug", "-DRF_SANITIZE=address,undefined"];
  return [
    writeVectors,
    ...buildSteps(folder, options, "with address and undefined-behaviour sanitizers"),
    ctest(folder),
  ];
}

export function nativeCoverage(gate) {
  const folder = join(BUILDS, "coverage");
  return [
    async () => {
      deleteCounts(folder);
      return writeVectors();
    },
    ...buildSteps(folder, ["-DCMAKE_BUILD_TYPE=Debug", "-DRF_COVERAGE=ON"], "with line counts"),
    async () => {
      const { status } = await run("ctest", ["--test-dir", folder, "--output-on-failure"], {
        capture: true,
        ...ENVIRONMENT,
      });
      if (status !== 0) return verdict("the native tests pass with line counts", false);
      return report(gate, await lineCounts(folder));
    },
  ];
}

async function writeVectors() {
  const program = join(ROOT, "test", "vectors", "main.ts");
  const { status, stdout } = await run(process.execPath, ["--import", "tsx", program, "--lines"], { capture: true });
  if (status !== 0) return verdict("the vectors can be read", false);
  mkdirSync(BUILDS, { recursive: true });
  writeFileSync(VECTORS, stdout);
  return {};
}

/** Where the native tests find the vectors. */
const ENVIRONMENT = { env: { ...process.env, RF_VECTORS: VECTORS } };

function buildSteps(folder, options, how) {
  return [
    async () => {
      const configured = await run("cmake", ["-S", ROOT, "-B", folder, ...options], { capture: true });
      if (configured.status !== 0) say(configured.stdout);
      return configured.status === 0 ? {} : verdict(`CMake configures ${how}`, false);
    },
    check(`the native code builds ${how}`, "cmake", ["--build", folder, "--parallel", String(availableParallelism())]),
  ];
}

/** Counts the test cases that the test program itself reports; a program that ends without a report is one failure. */
function ctest(folder) {
  return async () => {
    const { status, stdout } = await run("ctest", ["--test-dir", folder, "--verbose"], {
      capture: true,
      ...ENVIRONMENT,
    });
    say(stdout);
    const report = /test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped/.exec(stdout);
    const [ran, failed] = [1, 2].map((group) => Number(report?.[group] ?? 0));
    // A test finds out only as it runs that the machine lacks something, and says so.
    const skipped = (stdout.match(/MESSAGE: skipped: /g) ?? []).length;
    const isBroken = status !== 0 || ran + failed === 0;
    return { passed: ran - skipped, failed: isBroken && failed === 0 ? 1 : failed, skipped };
  };
}

function filesBelow(folder, suffix) {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.name.endsWith(suffix))
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  } catch {
    return [];
  }
}

/** Counts of an earlier run would be added to. */
function deleteCounts(folder) {
  for (const file of filesBelow(folder, ".gcda")) rmSync(file);
}

/** Source file, relative to the root → line → whether any translation unit reached it. */
async function lineCounts(folder) {
  const files = new Map();
  for (const counts of filesBelow(folder, ".gcda")) {
    const { stdout } = await run("gcov", ["--json-format", "--stdout", counts], { capture: true, cwd: folder });
    for (const document of stdout.split("\n").filter((line) => line.startsWith("{"))) {
      for (const { file, lines } of JSON.parse(document).files) {
        // The compiler names a file as it was included, such as native/test/../steer/parse.h.
        const name = relative(ROOT, resolve(ROOT, file));
        const known = files.get(name) ?? new Map();
        files.set(name, known);
        for (const line of lines) known.set(line.line_number, known.get(line.line_number) === true || line.count > 0);
      }
    }
  }
  return files;
}

function report(gate, files) {
  let all = 0;
  let reached = 0;
  for (const [name, lines] of [...files].sort(([a], [b]) => a.localeCompare(b))) {
    if (!name.startsWith(`${gate.folder}/`)) continue;
    const missed = [...lines].filter(([, hit]) => !hit).map(([number]) => number);
    all += lines.size;
    reached += lines.size - missed.length;
    say(
      `  ${name}: ${lines.size - missed.length} of ${lines.size} lines${missed.length === 0 ? "" : `, not ${missed.join(", ")}`}`,
    );
  }
  const percent = all === 0 ? 0 : (100 * reached) / all;
  const title = `native tests reach at least ${gate.lines} % of the lines of ${gate.folder}`;
  return verdict(title, percent >= gate.lines, `${percent.toFixed(1)} %`);
}
