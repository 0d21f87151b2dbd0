// A front port on its own that relays every flow to node 2, until its input ends: what a relay costs, without a daemon. Started by singleGateway.ts
// in the gateway's namespace: relayPort.js BACKEND NIC FRONT-MAC OUTER.

import { loadNative, type PortBackend } from "../lib/native.js";

const [backend = "xdp", nic = "", frontMac = "", outer = ""] = process.argv.slice(2);
const native = loadNative();
const counters = new BigUint64Array(new SharedArrayBuffer(native.counters.length * BigUint64Array.BYTES_PER_ELEMENT));
const port = new native.FrontPort({ backend: backend as PortBackend, nic, outer, frontMac, counters });
port.setTables({ self: 1, members: [1, 2], slots: new Uint16Array(65537).fill(2), hashKey: Buffer.alloc(16, 7) });
port.setLease(native.monotonicNow_ns() + 3_600_000_000_000n);
process.stdin.resume().on("end", () => port.close());
process.stdout.write(`${port.mode()}\n`);
