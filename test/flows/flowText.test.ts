// A flow as people write it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { formatIpv4 } from "../../lib/config/ipv4.js";
import { formatIpv6 } from "../../lib/config/ipv6.js";
import { RainfrontError } from "../../lib/errors.js";
import { FLOW_TEXT_CHARS_MAX, formatFlow, isSameFlow, parseFlow, reversed } from "../../lib/flows/flowText.js";
import type { FlowTuple } from "../../lib/native.js";

const port = fc.integer({ min: 0, max: 0xffff });
const ipv4 = fc.integer({ min: 0, max: 0xffffffff }).map(formatIpv4);
const ipv6 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map(formatIpv6);
const ends = fc.oneof(fc.tuple(fc.constant(4), ipv4, ipv4), fc.tuple(fc.constant(6), ipv6, ipv6));

const anyFlow: fc.Arbitrary<FlowTuple> = fc
  .tuple(ends, fc.oneof(fc.constantFrom(6, 17, 132, 1, 58), fc.integer({ min: 0, max: 255 })), port, port)
  .map(([[family, source, destination], protocol, sourcePort, other]) => {
    const isIcmp = protocol === (family === 4 ? 1 : 58);
    if (isIcmp) return { protocol, source, sourcePort, destination, destinationPort: sourcePort };
    if ([6, 17, 132].includes(protocol)) return { protocol, source, sourcePort, destination, destinationPort: other };
    return { protocol, source, sourcePort: 0, destination, destinationPort: 0 };
  });

describe("a flow's text", () => {
  test("survives formatting and parsing, and is short enough", () => {
    fc.assert(
      fc.property(anyFlow, (flow) => {
        const text = formatFlow(flow);
        assert.ok(text.length <= FLOW_TEXT_CHARS_MAX);
        assert.deepEqual(parseFlow(text), flow);
      }),
    );
  });

  test("names the same flow from either end, and another one where a port differs", () => {
    fc.assert(
      fc.property(anyFlow, (flow) => {
        assert.ok(isSameFlow(flow, flow) && isSameFlow(flow, reversed(flow)));
        assert.deepEqual(reversed(reversed(flow)), flow);
        if (flow.protocol !== 6) return;
        const port = (flow.sourcePort + 1) % 0x10000;
        assert.ok(!isSameFlow(flow, { ...flow, sourcePort: port }));
      }),
    );
  });

  const spellings: readonly (readonly [written: string, canonical: string])[] = [
    ["tcp 192.0.2.7:4444 > 198.51.100.10:80", "tcp 192.0.2.7:4444 > 198.51.100.10:80"],
    ["  TCP   192.0.2.7:4444>198.51.100.10:80 ", "tcp 192.0.2.7:4444 > 198.51.100.10:80"],
    ["udp [2001:DB8:0::1]:53 > [2001:db8::2]:5353", "udp [2001:db8::1]:53 > [2001:db8::2]:5353"],
    ["icmp 192.0.2.7 > 192.0.2.8 id 7", "icmp 192.0.2.7 > 192.0.2.8 id 7"],
    ["icmp 2001:db8::1 > 2001:db8::2 id 7", "icmp 2001:db8::1 > 2001:db8::2 id 7"],
    ["47 192.0.2.7 > 192.0.2.8", "47 192.0.2.7 > 192.0.2.8"],
    ["1 2001:db8::1 > 2001:db8::2", "1 2001:db8::1 > 2001:db8::2"],
  ];
  for (const [written, canonical] of spellings) {
    test(`${written.trim()} is understood`, () => assert.equal(formatFlow(parseFlow(written)), canonical));
  }

  const wrong: readonly (readonly [text: string, says: RegExp])[] = [
    ["", /not a flow/],
    ["tcp 192.0.2.7:1", /not a flow/],
    ["tcp 192.0.2.7:1 - 192.0.2.8:2", /not a flow/],
    ["tcp 192.0.2.7 > 192.0.2.8:2", /'192.0.2.7' is no address and port/],
    ["tcp 192.0.2.7:65536 > 192.0.2.8:2", /65536 is no port/],
    ["tcp 192.0.2.256:1 > 192.0.2.8:2", /'192.0.2.256:1' is no address and port/],
    ["tcp 2001:db8::1:80 > [2001:db8::2]:80", /no address and port/],
    ["tcp [192.0.2.7]:80 > 192.0.2.8:80", /no address and port/],
    ["tcp 192.0.2.7:1 > [2001:db8::2]:80", /not of one family/],
    ["tcp 192.0.2.7:1 > 192.0.2.8:2 id 7", /'id 7' behind the flow/],
    ["icmp 192.0.2.7 > 192.0.2.8", /ends with id/],
    ["icmp 192.0.2.7 > 192.0.2.8 id 65536", /ends with id/],
    ["icmp 192.0.2.7:1 > 192.0.2.8:1 id 7", /only tcp, udp and sctp have ports/],
    ["47 192.0.2.7:1 > 192.0.2.8:1", /only tcp, udp and sctp have ports/],
    ["6 192.0.2.7 > 192.0.2.8", /write tcp/],
    ["1 192.0.2.7 > 192.0.2.8", /write icmp/],
    ["58 2001:db8::1 > 2001:db8::2", /write icmp/],
    ["256 192.0.2.7 > 192.0.2.8", /'256' is no protocol/],
    ["gre 192.0.2.7 > 192.0.2.8", /'gre' is no protocol/],
    ["toString 192.0.2.7 > 192.0.2.8", /'toString' is no protocol/],
    [`tcp ${"9".repeat(FLOW_TEXT_CHARS_MAX)} > x`, /no longer than/],
  ];
  for (const [text, says] of wrong) {
    test(`${text.slice(0, 50)} is refused`, () => {
      assert.throws(
        () => parseFlow(text),
        (error) => error instanceof RainfrontError && error.code === "RF_USAGE" && says.test(error.message),
      );
    });
  }
});
