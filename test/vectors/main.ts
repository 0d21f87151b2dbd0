// `npm run vectors`: every vector in every home of the pipeline. With --lines it prints the vectors for a home that cannot read the cases: see
// native/test/vectors_test.cc. With --seeds it writes them as inputs of the fuzzer: see seeds.ts.
import { parseArgs } from "node:util";
import { writeCorpus } from "../fuzz/corpus.js";
import { comparedIn, expectedOutcomes, homesHere, shown } from "./homes.js";
import { address4, address6 } from "./notation.js";
import { seedsOf } from "./seeds.js";
import { readVectors, type Vector } from "./vector.js";

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    lines: { type: "boolean" },
    seeds: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help === true) {
  process.stdout.write(
    "Usage: npm run vectors -- [--json | --lines | --seeds FOLDER]\n\nRuns every vector of the packet path (test/vectors/cases) in every home of the pipeline that this machine has.\n" +
      "With --lines it prints them for the native tests; with --seeds it makes FOLDER hold them as inputs of the fuzzer, and nothing else.\n" +
      "Exit status: 0 no mismatch, 1 a mismatch.\n",
  );
} else if (values.lines === true) {
  process.stdout.write(`${readVectors().flatMap(linesOf).join("\n")}\n`);
} else if (values.seeds !== undefined) {
  const { added, removed } = writeCorpus(values.seeds, seedsOf(readVectors()));
  process.stdout.write(`${added} new, ${removed} gone\n`);
} else {
  compare();
}

function compare(): void {
  const vectors = readVectors();
  const { homes, skipped } = homesHere();
  /** Frames that the kernel gives to no program. */
  const runts: Record<string, number> = {};
  let mismatches = 0;
  for (const home of homes) {
    for (const vector of vectors) {
      const { got, wanted, notRun } = comparedIn(home, vector);
      if (notRun > 0) runts[home.name] = (runts[home.name] ?? 0) + notRun;
      if (JSON.stringify(got) === JSON.stringify(wanted)) continue;
      mismatches += 1;
      process.stderr.write(
        `${home.name}: ${vector.place}: ${vector.name}\n  wanted ${JSON.stringify(wanted)}\n  got    ${JSON.stringify(got)}\n`,
      );
    }
  }
  const result = { cases: vectors.length, homes: homes.map(({ name }) => name), skipped, notRun: runts, mismatches };
  if (values.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`${result.cases} cases in ${result.homes.join(" and ")}: ${mismatches} mismatches\n`);
  process.exitCode = mismatches === 0 ? 0 : 1;
}

/** Family, and the address in hex digits. */
function addressWords(address: string): string {
  const isIpv6 = address.includes(":");
  return `${isIpv6 ? 6 : 4} ${Buffer.from(isIpv6 ? address6(address) : address4(address)).toString("hex")}`;
}

/** One word per field, `-` for what is not there. */
function linesOf(vector: Vector): string[] {
  const { self, members, departed, authority, lease, vips } = vector.tables;
  const { policy, stickiness, epoch, since, ready, choice, settled_ns } = vector.tables;
  const lines = [`vector ${vector.name}`, `tables ${self} ${authority} ${lease} ${vips} ${members.join(" ")}`];
  for (const { node, after_ns } of departed) lines.push(`departed ${node} ${after_ns}`);
  if (policy !== "hash") lines.push(`assignment ${policy} ${stickiness} ${epoch} ${settled_ns} ${choice}`);
  for (const { address, protocol, port, policy: own, stickiness: sticks } of vector.tables.services) {
    const number = protocol === undefined ? 0 : { tcp: 6, udp: 17 }[protocol];
    lines.push(`service ${addressWords(address)} ${number} ${port ?? 0} ${own} ${sticks ?? "none"}`);
  }
  for (const { address, first, size } of vector.tables.portRanges?.ranges ?? [])
    lines.push(`ports ${addressWords(address)} ${first} ${size}`);
  for (const owner of vector.tables.portRanges?.owners ?? []) lines.push(`owner ${owner}`);
  for (const node of ready ?? members) lines.push(`ready ${node}`);
  for (const [node, first] of since) lines.push(`since ${node} ${first}`);
  for (const { frame, node, epoch: made = epoch, isAlias } of vector.known)
    lines.push(`known ${node} ${made} ${Number(isAlias)} ${Buffer.from(frame).toString("hex")}`);
  for (const [index, { kind, node, cause, fromPeer, conflict, told, out }] of expectedOutcomes(vector)
    .map(shown)
    .entries()) {
    const { after_ns, frame } = vector.steps[index] ?? { after_ns: 0n, frame: new Uint8Array(0) };
    const flags = [Number(fromPeer), Number(conflict), told].join(" ");
    lines.push(
      `frame ${after_ns} ${Buffer.from(frame).toString("hex") || "-"} ${kind} ${node} ${cause || "-"} ${flags} ${out ?? "-"}`,
    );
  }
  return lines;
}
