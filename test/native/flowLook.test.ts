// Looks at flows through the addon's edge: their slots, and what is known of them where nothing is. What is found where something is: native/test.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { formatIpv4 } from "../../lib/config/ipv4.js";
import { formatIpv6 } from "../../lib/config/ipv6.js";
import { parseFlow, reversed } from "../../lib/flows/flowText.js";
import { type FlowTuple, loadNative } from "../../lib/native.js";
import { HASH_KEY, slotOf } from "../vectors/hash.js";
import { address4, address6 } from "../vectors/notation.js";

const native = loadNative();
const { flowLook } = native;
const flow = parseFlow("tcp 192.0.2.7:4444 > 198.51.100.10:80");

const exchange = new native.FlowExchange(
  {
    backend: "af_packet",
    nics: [],
    established_max: 1024,
    opening_max: 1024,
    questions_max: 1,
    questions_per_s: 1,
    told_max: 1,
    told_per_s: 1,
  },
  () => {},
);
after(() => exchange.close());

const port = fc.integer({ min: 0, max: 0xffff });
const ends = fc.oneof(
  fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff)).map(([a, b]) => [formatIpv4(a), formatIpv4(b)] as const),
  fc
    .tuple(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }))
    .map(([a, b]) => [formatIpv6(a), formatIpv6(b)] as const),
);

/** By the oracle's hash, which is written from the paper. */
function slotByOracle(tuple: FlowTuple): number {
  const family = tuple.source.includes(":") ? 6 : 4;
  const bytes = (address: string) => (family === 6 ? address6(address) : address4(address));
  const one = { address: bytes(tuple.source), port: tuple.sourcePort };
  const other = { address: bytes(tuple.destination), port: tuple.destinationPort };
  const order = Buffer.compare(one.address, other.address) || one.port - other.port;
  const [low, high] = order <= 0 ? [one, other] : [other, one];
  return slotOf({ family, protocol: tuple.protocol, low, high, isFromLow: order <= 0 });
}

describe("a look at a flow", () => {
  test("finds its slot, which is the packet path's, from either end", () => {
    fc.assert(
      fc.property(ends, fc.constantFrom(6, 17, 132), port, port, ([source, destination], protocol, p, q) => {
        const tuple = { protocol, source, sourcePort: p, destination, destinationPort: q };
        const slot = flowLook.slot(tuple, HASH_KEY);
        assert.equal(slot, slotByOracle(tuple));
        assert.equal(slot, flowLook.slot(reversed(tuple), HASH_KEY));
      }),
    );
  });

  test("takes no ports of protocols without them into account", () => {
    const gre = { ...flow, protocol: 47, sourcePort: 0, destinationPort: 0 };
    assert.equal(flowLook.slot({ ...flow, protocol: 47 }, HASH_KEY), slotByOracle(gre));
  });

  test("finds nothing where nothing is known", async () => {
    assert.equal(flowLook.known(exchange.handle, flow), undefined);
    assert.deepEqual(await flowLook.list(exchange.handle, { flows_max: 10 }), { flows: [], counts: [] });
    assert.deepEqual(await flowLook.list(exchange.handle, { node: 2, flows_max: 0 }), { flows: [], counts: [] });
  });

  test("refuses what is no flow, no key and no exchange", () => {
    const refused = (look: () => unknown, code: string, says: RegExp) => assert.throws(look, { code, message: says });
    const wrong = (change: object) => () => flowLook.slot({ ...flow, ...change } as FlowTuple, HASH_KEY);
    refused(wrong({ source: "192.0.2" }), "RF_ARGUMENT", /source must be an IP address/);
    refused(wrong({ source: "2001:db8::1" }), "RF_ARGUMENT", /destination must be of the source's family/);
    refused(wrong({ sourcePort: 65_536 }), "RF_ARGUMENT", /sourcePort must be a whole number/);
    refused(wrong({ destinationPort: 1.5 }), "RF_ARGUMENT", /destinationPort/);
    refused(wrong({ protocol: 256 }), "RF_ARGUMENT", /protocol/);
    refused(() => flowLook.slot(flow, Buffer.alloc(15)), "RF_ARGUMENT", /hashKey must be a Buffer of 16 bytes/);
    refused(() => flowLook.known(0, flow), "RF_PORT_CLOSED", /closed/);
    refused(() => flowLook.known(undefined as unknown as number, flow), "RF_ARGUMENT", /handle/);
    refused(() => void flowLook.list(exchange.handle, { flows_max: 10_001 }), "RF_ARGUMENT", /flows_max/);
    refused(() => void flowLook.list(exchange.handle, { node: 0, flows_max: 1 }), "RF_ARGUMENT", /node/);
  });

  test("asks the firewall, or says why it cannot", () => {
    try {
      assert.equal(flowLook.connection(parseFlow("tcp 203.0.113.1:1 > 203.0.113.2:2")), undefined);
    } catch (error) {
      assert.match((error as { code: string }).code, /^RF_NO_PRIVILEGE$|^RF_CONNTRACK$/);
    }
  });
});
