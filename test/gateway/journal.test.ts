import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Journal } from "../../lib/gateway/journal.js";

describe("the journal of what was installed", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "rft-journal-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("tells a later daemon what an earlier one had changed", () => {
    const killed = new Journal(folder);
    killed.addLink("rf-external");
    killed.addSysctl("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "0");
    killed.addOffloads("eth0", 1);
    assert.deepEqual(new Journal(folder).readLeftover(), {
      links: ["rf-external"],
      sysctls: [{ path: "/proc/sys/net/ipv4/conf/eth0/arp_ignore", previous: "0" }],
      offloads: [{ nic: "eth0", previous: 1 }],
    });
  });

  it("has nothing to tell after it was cleared, and leaves no file", () => {
    const journal = new Journal(folder);
    journal.addLink("rf-external");
    journal.clear();
    assert.equal(new Journal(folder).readLeftover(), undefined);
    assert.deepEqual(readdirSync(folder), []);
  });

  it("takes a damaged file, or one that names files outside /proc/sys/net, for none", () => {
    const file = join(folder, "installed.json");
    for (const text of ["", "{", "[]", '{"links":[],"offloads":[],"sysctls":[{"path":"/etc/passwd","previous":""}]}']) {
      writeFileSync(file, text);
      assert.equal(new Journal(folder).readLeftover(), undefined);
    }
  });
});
