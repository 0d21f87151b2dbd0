// `npm test`: set-up where needed, then every stage. The last line of stdout sums them up; the exit status is not 0 if
// anything failed. `npm test -- --only STAGE` runs one stage (several: comma-separated).

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fail, ROOT, searchPath } from "./process.mjs";
import { setup } from "./setup.mjs";
import { flowsBench, pipelineBench, raincoreBench, scaleBench } from "./test-bench.mjs";
import { nativeCoverage, nativeTests } from "./test-native.mjs";
import {
  check,
  fuzzing,
  nodeTests,
  packetFuzzing,
  runStage,
  scenario,
  simulation,
  whatFailed,
} from "./test-stages.mjs";

/** Lines that tests must reach, in percent. */
const COVERAGE_MIN = 90;

const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
const biome = join(ROOT, "node_modules", "@biomejs", "biome", "bin", "biome");

const STAGES = {
  lint: () => [
    check("biome", process.execPath, [biome, "check", "."]),
    check("types", process.execPath, [tsc, "-p", "tsconfig.json", "--noEmit"]),
    check("types as users see them", process.execPath, [tsc, "-p", "test/types/tsconfig.json"]),
    check("docs/api is what the comments say", process.execPath, [join(ROOT, "scripts", "docs.mjs"), "--check"]),
  ],
  unit: () => {
    const files = testFiles("test").filter((file) => !file.startsWith("test/packaging/"));
    const core = files.filter((file) => file.startsWith("test/raincore/") || file.startsWith("test/simulator/"));
    const others = files.filter((file) => !core.includes(file));
    // The core is covered by its own tests, on virtual time; whole daemons would add little to it but the time that counting takes.
    return [...nodeTests(core, { folder: "lib/raincore", lines: COVERAGE_MIN }), ...nodeTests(others)];
  },
  native: () => nativeTests(),
  "native-coverage": () => nativeCoverage({ folder: "native/steer", lines: COVERAGE_MIN }),
  sim: () => [
    simulation(["--seeds", "2000"]),
    simulation(["--flows", "--seeds", "200"]),
    simulation(["--mutant", "all"]),
  ],
  fuzz: () => [fuzzing(["--minutes", "0.4", "--seed", "1"]), packetFuzzing(["--runs", "200000", "--seed", "1"])],
  bench: () => [raincoreBench(), pipelineBench(), scaleBench(), flowsBench()],
  packaging: () => nodeTests(testFiles("test/packaging")),
  lab: () => [
    scenario(["symmetry", "--nodes", "3", "--connections", "1000", "--family", "both"]),
    scenario(["symmetry", "--assignment", "receiver", "--family", "both", "--connections", "1000"], "xdp"),
    scenario(["symmetry", "--assignment", "balanced", "--nat", "all", "--connections", "1000"]),
    scenario(["symmetry", "--ftp", "--assignment", "receiver", "--connections", "200"], "xdp"),
    scenario(["survive", "--connections", "1000", "--rounds", "1", "--peer", "none"], "xdp"),
    scenario(["survive", "--assignment", "receiver", "--connections", "1000", "--rounds", "1", "--peer", "none"]),
    scenario(["drain", "--assignment", "balanced", "--connections", "1000", "--rounds", "1"], "xdp"),
    scenario(["rolling", "--assignment", "receiver", "--connections", "1000", "--rounds", "1"]),
    scenario(["traffic"], "af_packet"),
    scenario(["traffic"], "xdp"),
    scenario(["failover", "--rounds", "2"], "af_packet"),
    scenario(["failover", "--rounds", "2", "--peer", "none"], "xdp"),
    scenario(["pause", "--rounds", "1"], "xdp"),
    scenario(["crash", "--rounds", "1", "--family", "both"], "xdp"),
    scenario(["partition", "--nodes", "3", "--rounds", "1", "--policy", "majority"], "xdp"),
    scenario(["paths", "--rounds", "1"]),
    scenario(["upgrade", "--rounds", "2", "--pps", "10000"], "xdp"),
  ],
};

function testFiles(folder) {
  if (!existsSync(join(ROOT, folder))) return [];
  const entries = readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"));
  return files.map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length + 1)).sort();
}

function chosenStages(args) {
  if (args.length === 0) return Object.keys(STAGES);
  const names = args[0] === "--only" && args.length === 2 ? args[1].split(",") : [];
  if (names.length === 0 || names.some((name) => !(name in STAGES))) {
    fail("wrong usage", `npm test, or npm test -- --only STAGE with one of ${Object.keys(STAGES).join(", ")}`);
  }
  return names;
}

process.env.PATH = searchPath();
const names = chosenStages(process.argv.slice(2));
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
process.stdout.write(`rainfront ${version}: ${names.join(", ")}\n`);
await setup({ lab: true, tests: true, scale: true });

const total = { passed: 0, failed: 0, skipped: 0 };
for (const name of names) {
  const result = await runStage(name, STAGES[name]);
  total.passed += result.passed;
  total.failed += result.failed;
  total.skipped += result.skipped;
}
for (const line of whatFailed()) process.stdout.write(`✖ ${line}\n`);
const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
