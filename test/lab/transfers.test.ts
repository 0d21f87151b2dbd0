// FTP transfers on paper, and where their connections are found.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../lib/lab/conntrack.js";
import {
  curlOperation,
  isOnOneNode,
  parseOutcomes,
  portsNeeded,
  sightings,
  type Transfer,
  transfersInTurn,
} from "../../lib/lab/transfers.js";

const SOURCES = ["198.51.100.10", "198.51.100.11", "2001:db8:c::10"];
const TARGETS = ["10.77.0.51", "10.77.0.52", "2001:db8:2::51"];
const TRANSFER: Transfer = { command: "EPSV", source: "198.51.100.10", target: "10.77.0.51", firstPort: 20_000 };

/** An entry without translation unless told otherwise. */
function connection(source: string, sourcePort: number, target: string, targetPort: number, reply = {}): Connection {
  const back = { source: target, sourcePort: targetPort, target: source, targetPort: sourcePort };
  return { source, sourcePort, target, targetPort, state: "TIME_WAIT", reply: { ...back, ...reply } };
}
const control = connection("198.51.100.10", 20_000, "10.77.0.51", 21);
const passive = connection("198.51.100.10", 20_001, "10.77.0.51", 31_234);

test("no two transfers have a source port in common, also those that come later", () => {
  const first = transfersInTurn(1000, SOURCES, TARGETS);
  const later = transfersInTurn(1000, SOURCES, TARGETS, portsNeeded(1000, SOURCES));
  const ports = [...first, ...later].flatMap(({ source, firstPort }) =>
    [0, 1, 2, 3].map((n) => `${source}:${firstPort + n}`),
  );
  assert.equal(new Set(ports).size, 8000);
  assert.ok([...first, ...later].every(({ firstPort }) => firstPort + 3 <= 65_535));
});

test("every source asks every target of its family in every way that its family has", () => {
  const seen = new Set(transfersInTurn(100, SOURCES, TARGETS).map((t) => `${t.command} ${t.source}>${t.target}`));
  assert.equal(seen.size, 2 * 2 * 4 + 2);
  assert.ok([...seen].every((one) => !/^(PASV|PORT) 2001/.test(one)));
});

test("more transfers than there are ports for are refused", () => {
  assert.throws(() => transfersInTurn(20_000, ["198.51.100.10"], TARGETS), { code: "RF_USAGE", fix: /--connections/ });
});

test("curl is told of ports of the transfer's own, and of the old commands where they are meant", () => {
  const text = (transfer: Partial<Transfer>) => curlOperation({ ...TRANSFER, ...transfer }, "file", "/tmp/x", 10);
  assert.match(text({}), /^local-port = "20000-20003"$/m);
  assert.doesNotMatch(text({}), /ftp-port|disable/);
  assert.match(text({ command: "PASV" }), /^disable-epsv$/m);
  const active = text({ command: "PORT" });
  assert.match(active, /^local-port = "20000-20001"$/m);
  assert.match(active, /^ftp-port = "198\.51\.100\.10:20002-20003"$/m);
  assert.match(active, /^disable-eprt$/m);
  const six = text({ command: "EPRT", source: "2001:db8:c::10", target: "2001:db8:2::51" });
  assert.match(six, /^ftp-port = "\[2001:db8:c::10\]:20002-20003"$/m);
  assert.match(six, /^url = "ftp:\/\/\[2001:db8:2::51\]:21\/file"$/m);
});

test("curl's word is read for each transfer in turn", () => {
  assert.deepEqual(parseOutcomes("0 \n28 Connection timed out\n0 \n"), [undefined, "Connection timed out", undefined]);
  assert.deepEqual(parseOutcomes(""), []);
});

test("a transfer is on one node if one table alone has both of its connections", () => {
  const judge = (...tables: readonly (readonly Connection[])[]) =>
    sightings([TRANSFER], tables).map((one) => isOnOneNode(one))[0];
  assert.equal(judge([], [control, passive]), true);
  assert.equal(judge([control], [passive]), false, "on two nodes");
  assert.equal(judge([control, passive], [passive]), false, "the data connection on both");
  assert.equal(judge([control]), false, "no data connection");
  assert.equal(judge([passive]), false, "no control connection");
  const again = connection("198.51.100.10", 20_002, "10.77.0.51", 31_235);
  assert.equal(judge([control, passive, again]), false, "a data connection that had to be opened again");
  assert.equal(judge([]), false);
});

test("data connections that the server opens are found, also where the client's address is translated", () => {
  const opened = connection("10.77.0.51", 40_000, "198.51.100.10", 20_002);
  assert.equal(sightings([TRANSFER], [[control, opened]]).every(isOnOneNode), true);
  const inside: Transfer = { command: "EPRT", source: "10.77.0.51", target: "198.51.100.10", firstPort: 20_000 };
  const table = [
    connection("10.77.0.51", 20_000, "198.51.100.10", 21, { target: "192.0.2.101", targetPort: 4099 }),
    connection("198.51.100.10", 40_000, "192.0.2.101", 20_002, { source: "10.77.0.51" }),
  ];
  const [seen] = sightings([inside], [table]);
  assert.ok(seen && isOnOneNode(seen));
  assert.equal(seen.controls[0]?.connection.reply.target, "192.0.2.101");
});
