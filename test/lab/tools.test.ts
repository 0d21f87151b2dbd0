// The one list of Debian packages, as the lab reads it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { RainfrontError } from "../../lib/errors.js";
import { DEBIAN_PACKAGES_FILE } from "../../lib/lab/paths.js";
import { completePath, requireTools, whyWithout } from "../../lib/lab/tools.js";

/** Runs with a PATH on which there is nothing. */
function withoutPrograms<T>(action: () => T): T {
  const before = process.env.PATH;
  process.env.PATH = "/nonexistent";
  try {
    return action();
  } finally {
    process.env.PATH = before;
  }
}

function missing(scenario?: Parameters<typeof requireTools>[1]): string {
  try {
    withoutPrograms(() => requireTools("none", scenario));
  } catch (error) {
    assert.ok(error instanceof RainfrontError);
    assert.equal(error.code, "RF_LAB_TOOL_MISSING");
    return error.fix ?? "";
  }
  return "";
}

test("all missing packages are named in one line, and what only some scenarios use is not asked of the others", () => {
  assert.equal(
    missing()
      .split(" ")
      .filter((word) => word === "iproute2").length,
    1,
  );
  assert.match(missing("failover"), /nftables/);
  assert.doesNotMatch(missing("failover"), /stress-ng|keepalived/);
  assert.match(missing("stress"), /stress-ng/);
});

test("what is skipped for want of a program says how to get it", () => {
  assert.match(withoutPrograms(() => whyWithout("keepalived")) ?? "", /apt-get install keepalived/);
  completePath();
  assert.equal(whyWithout("mount"), undefined);
});

test("the list has a package for every program", () => {
  const lists = JSON.parse(readFileSync(DEBIAN_PACKAGES_FILE, "utf8")) as Record<string, Record<string, string>>;
  for (const name of [
    "build",
    "tests",
    "testsOptional",
    "lab",
    "labOptional",
    "corosyncOptional",
    "scale",
    "pipelineOptional",
  ]) {
    for (const [program, debianPackage] of Object.entries(lists[name] ?? {})) {
      assert.match(debianPackage, /^[a-z0-9][a-z0-9+.-]+$/, program);
    }
    assert.ok(Object.keys(lists[name] ?? {}).length > 0, name);
  }
});
