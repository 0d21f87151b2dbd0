import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceConfig } from "../../lib/config/config.js";
import { parseFlow } from "../../lib/flows/flowText.js";
import { countsLoads, flowServices, needsChoices, serviceOf } from "../../lib/steering/services.js";

const ALL: ServiceConfig = { address: "198.51.100.10", assignment: "receiver", stickiness: "none" };
const FTP: ServiceConfig = { ...ALL, protocol: "tcp", port: 21, stickiness: "client" };
const CLIENT: ServiceConfig = { address: "192.0.2.7", assignment: "balanced", stickiness: "none" };

test("of a flow the port that it goes to counts before its address, and that before where it comes from", () => {
  const of = (text: string) => serviceOf(parseFlow(text), [ALL, FTP, CLIENT]);
  assert.equal(of("tcp 192.0.2.7:4444 > 198.51.100.10:21"), FTP);
  assert.equal(of("udp 192.0.2.7:4444 > 198.51.100.10:21"), ALL);
  assert.equal(of("tcp 198.51.100.10:21 > 192.0.2.7:4444"), CLIENT);
  assert.equal(of("tcp 198.51.100.10:21 > 192.0.2.8:4444"), FTP);
  assert.equal(of("tcp 192.0.2.8:4444 > 198.51.100.11:21"), undefined);
});

test("whose flows stick together depends on the segment that they come in by", () => {
  assert.deepEqual(flowServices([ALL, FTP], "external"), [
    { address: "198.51.100.10", policy: "receiver" },
    { address: "198.51.100.10", policy: "receiver", protocol: "tcp", port: 21, stickiness: "source" },
  ]);
  assert.equal(flowServices([FTP], "internal")[0]?.stickiness, "destination");
});

test("choices are needed where any flow is given by weight, and loads count unless any sticks", () => {
  assert.deepEqual([needsChoices([ALL]), countsLoads([ALL])], [false, false]);
  assert.deepEqual([needsChoices([ALL, CLIENT]), countsLoads([ALL, CLIENT])], [true, true]);
  assert.deepEqual([needsChoices([ALL, FTP]), countsLoads([ALL, CLIENT, FTP])], [true, false]);
});
