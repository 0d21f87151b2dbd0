// The observer's arithmetic, over written traces. Times in a trace are microseconds, a request every 4 ms, answered 100 us later.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { type OwnershipReport, ownershipSchema } from "../../lib/lab/observer.js";
import { testhostProgram } from "../../lib/lab/paths.js";

const CYCLE_US = 4000;

/** One string per request: the numbers of the MACs that answer it. */
function trace(answers: readonly string[], late: Readonly<Record<string, number>> = {}): string[] {
  return answers.flatMap((macs, index) => {
    const sent_us = (index + 1) * CYCLE_US;
    return [
      `ask ${sent_us}`,
      ...[...macs].map((mac) => `answer ${sent_us} ${mac} ${sent_us + (late[`${index}/${mac}`] ?? 100)}`),
    ];
  });
}

function replay(lines: readonly string[]): OwnershipReport {
  const input = `${lines.join("\n")}\n`;
  const { status, stdout, stderr, error } = spawnSync(testhostProgram(), ["replay"], { input, encoding: "utf8" });
  assert.equal(status, 0, `${stderr}${error?.message ?? ""}`);
  return ownershipSchema.parse(JSON.parse(stdout));
}

function judge(answers: readonly string[], late: Readonly<Record<string, number>> = {}): OwnershipReport {
  return replay([...trace(answers, late), `report ${(answers.length + 1) * CYCLE_US}`]);
}

test("a VIP that one node answers for has one owner all the time", () => {
  const report = judge(["1", "1", "1", "1"]);
  assert.deepEqual([report.double_owner_ms, report.no_owner_ms, report.contested], [0, 0, 0]);
});

test("a clean handover is no double ownership, also when it goes back and forth", () => {
  assert.equal(judge(["1", "1", "2", "2"]).double_owner_ms, 0);
  assert.equal(judge(["1", "1", "2", "2", "2", "2", "2", "1", "1", "1", "1", "1", "2"]).double_owner_ms, 0);
});

test("two MACs that both go on answering are counted from the second's first answer to the first's last answered request", () => {
  // MAC 2 first answers at 8.1 ms, MAC 1 last answers the request sent at 20 ms.
  const report = judge(["1", "12", "12", "12", "12", "2", "2"]);
  assert.equal(report.double_owner_ms, 11.9);
  assert.equal(report.contested, 4);
});

test("an old owner's answer that was in flight when the new one began counts nothing", () => {
  // The request at 8 ms is answered by both: MAC 1's answer arrives 3 ms late, after MAC 2's first one.
  const report = judge(["1", "12", "2", "2"], { "1/1": 3000 });
  assert.equal(report.double_owner_ms, 0);
  assert.equal(report.contested, 1);
});

test("a VIP that goes away and comes back at once had one owner at a time, and one that also answers meanwhile does not", () => {
  assert.equal(judge(["1", "1", "2", "2", "1", "1"]).double_owner_ms, 0);
  assert.equal(judge(["1", "1", "", "2", "2", "1", "1"]).double_owner_ms, 0);
  assert.ok(judge(["1", "1", "12", "2", "12", "1"]).double_owner_ms > 7);
  // Questions that MAC 2 answered lie in MAC 1's socket until it is the owner again. The trace is in the order of the arrivals.
  const back_us = 24_500;
  const lines = trace(["1", "1", "2", "2", "2", ""]);
  for (const sent_us of [12_000, 16_000, 20_000, 24_000]) lines.push(`answer ${sent_us} 1 ${back_us}`);
  const report = replay([...lines, "ask 28000", "answer 28000 1 28100", "report 32000"]);
  assert.deepEqual([report.double_owner_ms, report.contested], [0, 3]);
});

test("two nodes that answer in turns own the VIP together", () => {
  assert.ok(judge(["1", "2", "1", "2", "1", "2"]).double_owner_ms > 10);
});

test("silence counts from the first unanswered request to the next answered one", () => {
  const report = judge(["1", "", "", "", "2"]);
  assert.equal(report.no_owner_ms, 12);
  assert.equal(report.vips[0]?.longest_silence_ms, 12);
});

test("a silence that lasts is counted as soon as an answer is overdue", () => {
  assert.equal(replay([...trace(["1", "", ""]), "report 13000"]).no_owner_ms, 0);
  assert.equal(replay([...trace(["1", "", ""]), "report 108000"]).no_owner_ms, 100);
});

test("a reset forgets what was, and goes on knowing who owns the VIP", () => {
  const before = trace(["1", "12", "12", "12"]);
  const after = [
    "ask 24000",
    "answer 24000 1 24100",
    "answer 24000 2 24100",
    "ask 28000",
    "answer 28000 1 28100",
    "report 30000",
  ];
  const report = replay([...before, "reset 20000", ...after]);
  // From the reset at 20 ms to the sending of the last request that both answered.
  assert.equal(report.double_owner_ms, 4);
  assert.equal(report.contested, 1);
});

test("announcements are counted by MAC", () => {
  const report = replay(["announce 1", "announce 2", "announce 2", "report 1"]);
  assert.deepEqual(report.vips[0]?.announcements, { "02:00:00:00:00:01": 1, "02:00:00:00:00:02": 2 });
});

test("a line that cannot be read is a usage error", () => {
  assert.equal(spawnSync(testhostProgram(), ["replay"], { input: "nonsense\n" }).status, 2);
});
