import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { canonicalAddress, familyOf } from "../../lib/config/address.js";
import {
  formatIpv6,
  formatSubnet6,
  isHostOf6,
  overlap6,
  parseCidr6,
  parseIpv6,
  unfitness6,
} from "../../lib/config/ipv6.js";

const anyAddress = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
/** With zeros in many places: that is where spellings differ. */
const sparse = fc
  .array(fc.constantFrom(0, 0, 0, 1, 0xdb8, 0xffff), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n));

function subnet(text: string) {
  const cidr = parseCidr6(text);
  assert.ok(cidr, text);
  return cidr.subnet;
}

describe("an IPv6 address", () => {
  test("survives formatting and parsing, in the spelling that everybody else prints", () => {
    fc.assert(
      fc.property(fc.oneof(anyAddress, sparse), (address) => {
        const text = formatIpv6(address);
        // The URL standard's serializer follows RFC 5952 as well.
        assert.equal(`[${text}]`, new URL(`http://[${text}]/`).hostname);
        return parseIpv6(text) === address;
      }),
    );
  });

  test("has one canonical spelling, whichever it was written in (RFC 5952)", () => {
    const spellings: readonly (readonly [string, string])[] = [
      ["2001:DB8::1", "2001:db8::1"],
      ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
      ["2001:db8::192.0.2.1", "2001:db8::c000:201"],
      ["0:0:0:0:0:0:0:0", "::"],
      ["1::", "1::"],
      ["192.0.2.1", "192.0.2.1"],
    ];
    for (const [written, canonical] of spellings) assert.equal(canonicalAddress(written), canonical, written);
    assert.deepEqual(["2001:db8::1", "192.0.2.1"].map(familyOf), [6, 4]);
  });

  test("is nothing else than what Node takes for one, without a zone", () => {
    const pieces = fc.constantFrom(
      "",
      ":",
      "::",
      "0",
      "1",
      "db8",
      "ffff",
      "10000",
      "g",
      "1.2.3.4",
      "1.2.3.256",
      ".",
      "%1",
      " ",
    );
    const texts = fc.array(pieces, { maxLength: 17 }).map((some) => some.join(""));
    fc.assert(
      fc.property(
        fc.oneof(
          texts,
          fc.array(pieces, { maxLength: 9 }).map((some) => some.join(":")),
        ),
        (text) => {
          assert.equal(parseIpv6(text) !== undefined, isIPv6(text) && !text.includes("%"), text);
        },
      ),
      { numRuns: 3000 },
    );
    for (const text of ["fe80::1%eth0", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2::3", "01234::", "1".repeat(60)])
      assert.equal(parseIpv6(text), undefined, text);
  });

  test("belongs on a segment only if others can reach it there", () => {
    const reasons = [
      "2001:db8::1",
      "fd00::1",
      "::ffff:192.0.2.1",
      "fe80::1",
      "ff02::1",
      "::1",
      "::",
      "64:ff9b::1",
      "fec0::1",
    ].map((text) => unfitness6(parseIpv6(text) ?? 0n));
    assert.deepEqual(reasons, [
      undefined,
      undefined,
      "it is an IPv4 address: write 192.0.2.1",
      "it is link-local",
      "it is multicast",
      "it is the loopback address",
      "it is the unspecified address",
      "it is neither global (2000::/3) nor unique local (fc00::/7)",
      "it is neither global (2000::/3) nor unique local (fc00::/7)",
    ]);
  });
});

describe("an IPv6 subnet", () => {
  test("contains its addresses but the first one, which is that of all its routers", () => {
    const small = subnet("2001:db8::10/126");
    const hosts = [0xfn, 0x10n, 0x11n, 0x13n, 0x14n].map((last) => isHostOf6(small, (0x20010db8n << 96n) | last));
    assert.deepEqual(hosts, [false, false, true, true, false]);
    assert.equal(formatSubnet6(subnet("2001:DB8:0:1:2::9/64")), "2001:db8:0:1::/64");
  });

  test("overlaps another one when one contains the other", () => {
    const [wide, narrow, other] = ["2001:db8::/32", "2001:db8:7::/48", "2001:db9::/32"].map(subnet);
    assert.ok(wide && narrow && other);
    assert.ok(overlap6(wide, narrow) && overlap6(narrow, wide) && !overlap6(narrow, other));
  });

  test("has a length of up to 128", () => {
    for (const text of ["2001:db8::", "2001:db8::/129", "2001:db8::/", "/64", "192.0.2.0/24", "2001:db8::/064"])
      assert.equal(parseCidr6(text), undefined, text);
    assert.equal(subnet("::/0").last, (1n << 128n) - 1n);
  });
});
