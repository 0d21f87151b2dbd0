import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TOKEN_BYTES_MAX } from "../../lib/raincore/token.js";
import { decodeTable, encodeTable, fitting, TABLE_BYTES_MAX, tableBytes, VIPS_MAX } from "../../lib/vip/codec.js";
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

  it("carry both families, and of IPv4 VIPs alone are what they were before there were others", () => {
    const both = [record(1), { ...record(2), address: "2001:db8:1::101" }];
    assert.deepEqual(decodeTable(encodeTable(both)), both);
    const small: VipRecord = { ...record(7), address: "10.0.0.1", segment: "e", currentHost: 1, preferredHost: 2 };
    const hex = "01 0001 0008 31302e302e302e31 0001 65 0001 0002 03 00000007 4066500000000000";
    assert.equal(Buffer.from(encodeTable([small])).toString("hex"), hex.replaceAll(" ", ""));
  });

  it("are as long as it is told before, and as many VIPs of IPv6 as fit are taken from the first on", () => {
    const address = (n: number) => `2001:db80:1111:1111:1111:2222:3333:${(0x1000 + n).toString(16)}`;
    const long = Array.from({ length: VIPS_MAX }, (_, n) => ({ ...record(n), address: address(n) }));
    assert.equal(tableBytes(long), encodeTable(long).length);
    const taken = fitting(long);
    assert.deepEqual(taken, long.slice(0, taken.length));
    assert.ok(encodeTable(taken).length <= TABLE_BYTES_MAX);
    assert.ok(encodeTable(long.slice(0, taken.length + 1)).length > TABLE_BYTES_MAX);
    const short = Array.from({ length: VIPS_MAX + 1 }, (_, n) => record(n));
    assert.equal(fitting(short).length, VIPS_MAX);
    assert.equal(fitting(short.slice(0, 3)).length, 3);
  });

  it("are refused when a VIP is listed twice, when there are too many, and when any byte is missing or left over", () => {
    const bytes = encodeTable(table(2));
    assert.equal(decodeTable(encodeTable([record(1), record(1)])), undefined);
    assert.equal(decodeTable(encodeTable(table(VIPS_MAX + 1))), undefined);
    assert.equal(decodeTable(new Uint8Array([...bytes, 0])), undefined);
    for (let length = 0; length < bytes.length; length++) assert.equal(decodeTable(bytes.slice(0, length)), undefined);
  });
});
