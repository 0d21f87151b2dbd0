import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  contains,
  formatIpv4,
  isHostOf,
  isUnicast,
  overlap,
  parseCidr,
  parseIpv4,
  subnetOf,
} from "../../lib/config/ipv4.js";

test("an address survives formatting and parsing", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffffffff }), (address) => parseIpv4(formatIpv4(address)) === address),
  );
});

test("only four decimal octets are an address", () => {
  for (const text of [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "0x1.2.3.4",
    "1.2.3.-4",
    "1..3.4",
  ]) {
    assert.equal(parseIpv4(text), undefined, text);
  }
});

test("an address is in its own subnet at every prefix length", () => {
  const cases = fc.tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 32 }));
  fc.assert(
    fc.property(cases, ([address, length]) => {
      const subnet = subnetOf(address, length);
      return contains(subnet, address) && subnet.network <= address && address <= subnet.broadcast;
    }),
  );
});

test("network and broadcast addresses are no hosts", () => {
  const subnet = subnetOf(parseIpv4("192.0.2.0") ?? 0, 30);
  const hosts = ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map((text) =>
    isHostOf(subnet, parseIpv4(text) ?? 0),
  );
  assert.deepEqual(hosts, [false, true, true, false, false]);
});

test("subnets overlap when one contains the other", () => {
  const [wide, narrow, other] = ["10.0.0.0/8", "10.77.0.0/24", "11.0.0.0/8"].map((text) => parseCidr(text)?.subnet);
  assert.ok(wide && narrow && other);
  assert.ok(overlap(wide, narrow) && overlap(narrow, wide) && !overlap(narrow, other));
});

test("a prefix length above 32 or none is no subnet", () => {
  for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "/8", "10.0.0/8"])
    assert.equal(parseCidr(text), undefined, text);
});

test("loopback, multicast, reserved and zero addresses belong on no segment", () => {
  const results = ["0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.1"].map((text) =>
    isUnicast(parseIpv4(text) ?? 0),
  );
  assert.deepEqual(results, [false, false, false, false, true]);
});
