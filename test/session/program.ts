// A program with one node, for endings.test.ts: what becomes of its process.
import { Cluster } from "./cluster.js";

const what = process.argv[2];
const cluster = await Cluster.of(1);
const node = await cluster.start(1);
const failures = new Set<string>();
if (what === "come") {
  process.on("uncaughtException", ({ message }) => failures.add(message));
  for (const event of ["view", "state"] as const) {
    node.on(event, () => {
      throw new Error(`of the listener for ${event}`);
    });
  }
}
await node.joined();
console.log("joined");
if (what === "come") console.log([...failures].sort().join(", "));
if (what === "exit") process.exit(3);
if (what === "throw") {
  process.on("uncaughtException", (error) => console.log("failed:", error.message));
  // The outcome comes in the same message as the delivery.
  node.on("message", () => {
    throw new Error("of the listener");
  });
  await node.multicast(Buffer.from("x"));
  console.log("delivered");
}
await node.close();
