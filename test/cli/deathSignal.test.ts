// Which commands are started by setpriv, and by which one.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dyingWithUs, findSetpriv } from "../../lib/cli/deathSignal.js";
import { withFolder } from "./daemon.js";

test("a setpriv that is missing, or does not know the option, is not used", async () => {
  await withFolder(async (folder) => {
    assert.equal(findSetpriv(folder), undefined);
    const file = join(folder, "setpriv");
    writeFileSync(file, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    assert.equal(findSetpriv(folder), undefined);
    writeFileSync(file, '#!/bin/sh\n[ "$1 $2 $3" = "--pdeathsig KILL --" ] || exit 1\nshift 3\n[ -x "$1" ]\n');
    assert.equal(findSetpriv(folder), file);
    assert.deepEqual(dyingWithUs(["/bin/sh", "-c", "x"], undefined), ["/bin/sh", "-c", "x"]);
  });
});

test("a command that can be run is started by it, with its arguments as they are", async () => {
  await withFolder(async (folder) => {
    writeFileSync(join(folder, "job"), "exit 0\n", { mode: 0o755 });
    const by = ["/bin/setpriv", "--pdeathsig", "KILL", "--"];
    assert.deepEqual(dyingWithUs(["job", "--x", ""], "/bin/setpriv", `/nonexistent:${folder}`), [
      ...by,
      "job",
      "--x",
      "",
    ]);
    assert.deepEqual(dyingWithUs([join(folder, "job")], "/bin/setpriv"), [...by, join(folder, "job")]);
    assert.deepEqual(dyingWithUs(["job"], "/bin/setpriv", "/nonexistent"), ["job"]);
    assert.deepEqual(dyingWithUs([""], "/bin/setpriv"), [""]);
  });
});
