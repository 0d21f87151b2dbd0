// What the bench says where there is no corosync to compare with.
import assert from "node:assert/strict";
import { test } from "node:test";
import { whyWithoutCorosync } from "../../bench/corosync/installed.js";

test("what corosync would need is named, each package once", () => {
  const before = process.env.PATH;
  process.env.PATH = "/nonexistent";
  try {
    const why = whyWithoutCorosync() ?? "";
    const parts = /^not installed: (corosync, .*cc) \(apt-get install --no-install-recommends (.*)\)$/.exec(why);
    const packages = parts?.[2]?.split(" ") ?? [];
    assert.ok(packages.includes("corosync") && packages.includes("gcc"), why);
    assert.equal(new Set(packages).size, packages.length);
  } finally {
    process.env.PATH = before;
  }
});
