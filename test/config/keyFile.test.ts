// The file with the cluster key: what may be in it, and who may read it.

import assert from "node:assert/strict";
import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { loadConfig } from "../../lib/config/load.js";
import { refusal } from "./refusal.js";
import { SAMPLE, SAMPLE_KEY, withConfig } from "./sample.js";

test("a key file may have the key that seals and others that open", () => {
  withConfig(SAMPLE, (file, folder) => {
    const next = `f${SAMPLE_KEY.slice(1)}`;
    writeFileSync(join(folder, "cluster.key"), `${next}\n${SAMPLE_KEY}\n`);
    const keys = loadConfig(file).clusterKeys.map((key) => Buffer.from(key).toString("hex"));
    assert.deepEqual(keys, [next, SAMPLE_KEY]);
  });
});

describe("the key file is refused when", () => {
  const spoiled = (spoil: (path: string) => void) =>
    withConfig(SAMPLE, (file, folder) => {
      spoil(join(folder, "cluster.key"));
      const error = refusal(() => loadConfig(file));
      assert.equal(error.code, "RF_CONFIG_KEY_FILE");
      assert.match(error.message, /gw\.yaml:2: keyFile: /);
      return error;
    });

  test("it is missing, with the command that makes one", () => {
    const error = spoiled((path) => rmSync(path));
    assert.match(error.message, /does not exist/);
    assert.match(error.fix ?? "", /\/dev\/urandom/);
  });

  test("others may read it", () => {
    const error = spoiled((path) => chmodSync(path, 0o640));
    assert.match(error.message, /mode 0640/);
    assert.match(error.fix ?? "", /chmod 600/);
  });

  test("it has more keys than a change of the key needs, or one twice", () => {
    const key = (first: string) => first + SAMPLE_KEY.slice(1);
    const many = spoiled((path) => writeFileSync(path, ["a", "b", "c", "d"].map(key).join("\n")));
    assert.match(many.message, /more than 3 keys/);
    assert.match(spoiled((path) => writeFileSync(path, `${key("a")}\n${key("A")}\n`)).message, /a key twice/);
  });

  test("it is too short", () => {
    assert.match(spoiled((path) => writeFileSync(path, SAMPLE_KEY.slice(2))).message, /62 hex digits/);
  });

  test("it is too long", () => {
    assert.match(spoiled((path) => writeFileSync(path, SAMPLE_KEY.repeat(9))).message, /more hex digits/);
  });

  test("it is no key at all, without telling its content", () => {
    const error = spoiled((path) => writeFileSync(path, `${SAMPLE_KEY.slice(1)}z`));
    assert.match(error.message, /hex digits/);
    assert.ok(!error.toLine().includes(SAMPLE_KEY.slice(1, 20)));
  });
});
