// `npm run vectors`: every vector in every home of the pipeline. With --lines it prints the vectors for a home that cannot read the cases: see
// native/test/vectors_test.cc.
import { parseArgs } from "node:util";
import { expectedOutcomes, homesHere, shown } from "./homes.js";
import { readVectors, type Vector } from "./vector.js";

const { values } = parseArgs({
  options: { json: { type: "boolean" }, lines: { type: "boolean" }, help: { type: "boolean" } },
});
if (values.help === true) {
  process.stdout.write(
    "Usage: npm run vectors -- [--json]\n\nRuns every vector of the packet path (test/vectors/cases) in every home of the pipeline that this machine has.\n" +
      "Exit status: 0 no mismatch, 1 a mismatch.\n",
  );
} else if (values.lines === true) {
  process.stdout.write(`${readVectors().flatMap(linesOf).join("\n")}\n`);
} else {
  compare();
}

function compare(): void {
  const vectors = readVectors();
  const { homes, skipped } = homesHere();
  let mismatches = 0;
  for (const home of homes) {
    for (const vector of vectors) {
      const [got, wanted] = [home.run(vector), expectedOutcomes(vector)].map((outcomes) => outcomes.map(shown));
      if (JSON.stringify(got) === JSON.stringify(wanted)) continue;
      mismatches += 1;
      process.stderr.write(
        `${home.name}: ${vector.place}: ${vector.name}\n  wanted ${JSON.stringify(wanted)}\n  got    ${JSON.stringify(got)}\n`,
      );
    }
  }
  const result = { cases: vectors.length, homes: homes.map(({ name }) => name), skipped, mismatches };
  if (values.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`${result.cases} cases in ${result.homes.join(" and ")}: ${mismatches} mismatches\n`);
  process.exitCode = mismatches === 0 ? 0 : 1;
}

/** One word per field, `-` for what is not there. */
function linesOf(vector: Vector): string[] {
  const { self, members, authority, lease } = vector.tables;
  const lines = [`vector ${vector.name}`, `tables ${self} ${authority} ${lease} ${members.join(" ")}`];
  for (const [index, { kind, node, cause, fromPeer, conflict, out }] of expectedOutcomes(vector).map(shown).entries()) {
    const { after_ns, frame } = vector.steps[index] ?? { after_ns: 0n, frame: new Uint8Array(0) };
    const flags = `${fromPeer ? 1 : 0} ${conflict ? 1 : 0}`;
    lines.push(
      `frame ${after_ns} ${Buffer.from(frame).toString("hex") || "-"} ${kind} ${node} ${cause || "-"} ${flags} ${out ?? "-"}`,
    );
  }
  return lines;
}
