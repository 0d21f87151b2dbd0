import assert from "node:assert/strict";
import { it } from "node:test";
import { SEAL_OVERHEAD_BYTES } from "../../lib/raincore/secureChannel.js";
import { mtuOf, packetBytesMax, type SystemInterfaces } from "../../lib/session/mtu.js";

function system(mtus: Readonly<Record<string, number>>): SystemInterfaces {
  return {
    addresses: () => ({
      small: [{ address: "192.0.2.1" }],
      jumbo: [{ address: "198.51.100.9" }, { address: "198.51.100.1" }],
      huge: [{ address: "203.0.113.1" }],
      gone: [{ address: "203.0.113.2" }],
    }),
    mtu: (name) => mtus[name] ?? Number.NaN,
  };
}

const HOST = system({ small: 1400, jumbo: 8000, huge: 65_536 });

it("finds the MTU of the interface that has the address", () => {
  assert.equal(mtuOf("198.51.100.1", HOST), 8000);
});

it("keeps it between what Ethernet always carries and jumbo frames", () => {
  assert.equal(mtuOf("192.0.2.1", HOST), 1500);
  assert.equal(mtuOf("203.0.113.1", HOST), 9000);
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
  assert.equal(packetBytesMax(["198.51.100.1"], HOST), 8000 - 28 - SEAL_OVERHEAD_BYTES);
  assert.equal(packetBytesMax(["198.51.100.1", "192.0.2.1"], HOST), 1500 - 28 - SEAL_OVERHEAD_BYTES);
});

it("reads this machine's loopback interface", () => {
  assert.equal(mtuOf("127.0.0.1"), 9000);
});
