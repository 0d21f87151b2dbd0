import assert from "node:assert/strict";
import { it } from "node:test";
import { SEAL_OVERHEAD_BYTES } from "../../lib/raincore/secureChannel.js";
import { PART_BYTES_MIN, PART_HEAD_BYTES } from "../../lib/raincore/transport/limits.js";
import { mtuOf, packetBytesMax, type SystemInterfaces } from "../../lib/session/mtu.js";

function system(mtus: Readonly<Record<string, number>>): SystemInterfaces {
  return {
    addresses: () => ({
      small: [{ address: "192.0.2.1" }],
      jumbo: [{ address: "198.51.100.9" }, { address: "198.51.100.1" }],
      tiny: [{ address: "203.0.113.1" }],
      gone: [{ address: "203.0.113.2" }],
    }),
    mtu: (name) => mtus[name] ?? Number.NaN,
  };
}

const HOST = system({ small: 1400, tiny: 600, jumbo: 9000 });

it("finds the MTU of the interface that has the address", () => {
  assert.equal(mtuOf("192.0.2.1", HOST), 1400);
});

it("uses no jumbo frames: what is between the nodes may not carry them", () => {
  assert.equal(mtuOf("198.51.100.1", HOST), 1500);
  assert.equal(mtuOf("127.0.0.1"), 1500);
});

it("leaves the smallest interfaces to fragments", () => {
  assert.equal(mtuOf("203.0.113.1", HOST), 1280);
});

it("takes 1500 where nothing is known", () => {
  assert.equal(mtuOf("192.0.2.77", HOST), 1500);
  assert.equal(mtuOf("203.0.113.2", HOST), 1500);
  const vanishing: SystemInterfaces = {
    ...HOST,
    mtu: () => {
      throw new Error("ENOENT");
    },
  };
  assert.equal(mtuOf("198.51.100.1", vanishing), 1500);
});

it("sizes messages so that a sealed one fits into a packet of the smallest path", () => {
  assert.equal(packetBytesMax(["198.51.100.1"], HOST), 1500 - 28 - SEAL_OVERHEAD_BYTES);
  assert.equal(packetBytesMax(["198.51.100.1", "192.0.2.1"], HOST), 1400 - 28 - SEAL_OVERHEAD_BYTES);
});

it("leaves room for a part of a message on any path", () => {
  assert.ok(packetBytesMax(["203.0.113.1"], HOST) >= PART_HEAD_BYTES + PART_BYTES_MIN);
});
