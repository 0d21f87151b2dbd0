// docs/errors.md has every error code, once, with a meaning and a fix; and every code is one that something raises.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "../../lib/errors.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(ROOT, "docs", "errors.md"), "utf8");
const rows = [...page.matchAll(/^\| `(RF_[A-Z0-9_]+)` \| (.+) \| (.+) \|$/gm)].map(([, code, meaning, fix]) => ({
  code: code as string,
  meaning: meaning as string,
  fix: fix as string,
}));

function raised(): string {
  const texts: string[] = [];
  for (const folder of ["lib", "native"]) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.(?:ts|cc|h)$/.test(entry.name) || entry.name === "errors.ts") continue;
      texts.push(readFileSync(join(entry.parentPath, entry.name), "utf8"));
    }
  }
  return texts.join("\n");
}

describe("docs/errors.md", () => {
  test("lists the codes of lib/errors.ts in their order", () => {
    assert.deepEqual(
      rows.map(({ code }) => code),
      [...ERROR_CODES],
    );
  });

  test("says of each what it means and what mends it", () => {
    for (const { code, meaning, fix } of rows) {
      assert.ok(meaning.length > 8 && fix.length > 5, code);
      assert.notEqual(meaning, fix, code);
    }
  });

  test("lists nothing that is never raised", () => {
    const sources = raised();
    const never = ERROR_CODES.filter((code) => !sources.includes(`"${code}"`));
    assert.deepEqual(never, []);
  });
});
