import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Journal } from "../../lib/gateway/journal.js";

const ARP_IGNORE = "/proc/sys/net/ipv4/conf/eth0/arp_ignore";

describe("the journal of what was installed", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "rft-journal-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("tells a later daemon what an earlier one had changed", () => {
    const killed = new Journal(folder);
    killed.addLink("rf-external");
    killed.addSysctl(ARP_IGNORE, "0");
    killed.addOffloads("eth0", 1, 3);
    killed.addProgram("eth0");
    killed.addGroup("eth0", "ff02::1:ff00:65");
    const later = new Journal(folder);
    assert.equal(later.takeOver(), true);
    assert.deepEqual(later.content, {
      links: ["rf-external"],
      sysctls: [{ path: ARP_IGNORE, previous: "0" }],
      offloads: [{ nic: "eth0", previous: 1, mask: 3 }],
      programs: [{ nic: "eth0" }],
      groups: [{ nic: "eth0", address: "ff02::1:ff00:65" }],
    });
  });

  it("keeps what was not undone, and the first value of what was changed twice", () => {
    const killed = new Journal(folder);
    killed.addLink("rf-external");
    killed.addSysctl(ARP_IGNORE, "0");
    const later = new Journal(folder);
    later.takeOver();
    later.forget("rf-external");
    later.addSysctl(ARP_IGNORE, "1");
    const last = new Journal(folder);
    assert.equal(last.takeOver(), true);
    assert.deepEqual(last.content, {
      links: [],
      sysctls: [{ path: ARP_IGNORE, previous: "0" }],
      offloads: [],
      programs: [],
      groups: [],
    });
  });

  it("leaves no file when everything was undone", () => {
    const journal = new Journal(folder);
    journal.addLink("rf-external");
    journal.addOffloads("eth0", 1, 3);
    for (const entry of [...journal.content.links, ...journal.content.offloads]) journal.forget(entry);
    assert.equal(new Journal(folder).takeOver(), false);
    assert.deepEqual(readdirSync(folder), []);
  });

  it("takes a damaged file, or one that names files outside /proc/sys/net, for none", () => {
    const file = join(folder, "installed.json");
    for (const text of ["", "{", "[]", '{"links":[],"offloads":[],"sysctls":[{"path":"/etc/passwd","previous":""}]}']) {
      writeFileSync(file, text);
      assert.equal(new Journal(folder).takeOver(), false);
    }
  });

  it("is not undone in another network namespace, and forgotten when the machine was started again", () => {
    new Journal(folder, "boot1 net:[1]").addLink("rf-external");
    assert.throws(() => new Journal(folder, "boot1 net:[2]").takeOver(), { code: "RF_STATE_DIR" });
    assert.equal(new Journal(folder, "boot2 net:[2]").takeOver(), false);
    assert.equal(new Journal(folder, "boot1 net:[1]").takeOver(), true);
  });
});
