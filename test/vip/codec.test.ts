import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TOKEN_BYTES_MAX } from "../../lib/raincore/token.js";
import { decodeTable, encodeTable, VIPS_MAX } from "../../lib/vip/codec.js";
import type { VipRecord } from "../../lib/vip/policy.js";

function record(n: number): VipRecord {
  return {
    address: `192.168.${100 + (n >> 8)}.${100 + (n & 0x7f)}`.padEnd(15, "5"),
    segment: "internal",
    currentHost: 65_535,
    preferredHost: 65_535,
    persistence: 3,
    version: n,
    wait_ms: 178.5,
  };
}

function table(count: number): VipRecord[] {
  return Array.from({ length: count }, (_, n) => ({ ...record(n), address: `10.${n >> 8}.100.${n & 0xff}` }));
}

describe("the VIP table's bytes", () => {
  it("come back as they were", () => {
    assert.deepEqual(decodeTable(encodeTable(table(20))), table(20));
  });

  it("fit the token beside the largest member list, for as many VIPs as a configuration may have", () => {
    const longest = Array.from({ length: VIPS_MAX }, (_, n) => record(n));
    assert.ok(encodeTable(longest).length + 16 + 256 * 24 <= TOKEN_BYTES_MAX);
    assert.equal(decodeTable(encodeTable(table(VIPS_MAX)))?.length, VIPS_MAX);
  });

  it("are refused when a VIP is listed twice, when there are too many, and when any byte is missing or left over", () => {
    const bytes = encodeTable(table(2));
    assert.equal(decodeTable(encodeTable([record(1), record(1)])), undefined);
    assert.equal(decodeTable(encodeTable(table(VIPS_MAX + 1))), undefined);
    assert.equal(decodeTable(new Uint8Array([...bytes, 0])), undefined);
    for (let length = 0; length < bytes.length; length++) assert.equal(decodeTable(bytes.slice(0, length)), undefined);
  });
});
