import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionKey, parseConntrack, tablesPerConnection } from "../../lib/lab/conntrack.js";

const LISTING = `tcp      6 117 TIME_WAIT src=198.51.100.10 dst=10.77.0.51 sport=1025 dport=80 src=10.77.0.51 dst=198.51.100.10 sport=80 dport=1025 [ASSURED] mark=0 use=1
tcp      6 431990 ESTABLISHED src=198.51.100.11 dst=10.77.0.52 sport=1026 dport=5201 packets=3 bytes=120 src=10.77.0.52 dst=198.51.100.11 sport=5201 dport=1026 packets=2 bytes=80 [ASSURED] mark=0 use=1
tcp      6 118 SYN_SENT src=198.51.100.12 dst=10.77.0.53 sport=1027 dport=80 [UNREPLIED] src=10.77.0.53 dst=198.51.100.12 sport=80 dport=1027 mark=0 use=1
icmp     1 29 src=192.0.2.240 dst=192.0.2.101 type=8 code=0 id=7 src=192.0.2.101 dst=192.0.2.240 type=0 code=0 id=7 mark=0 use=1
udp      17 29 src=10.77.0.11 dst=10.77.0.12 sport=7911 dport=7911 src=10.77.0.12 dst=10.77.0.11 sport=7911 dport=7911 mark=0 use=1
`;

test("a TCP connection is named by its original direction", () => {
  const connections = parseConntrack(LISTING);
  assert.deepEqual(
    connections.map((c) => [connectionKey(c), c.state]),
    [
      ["198.51.100.10:1025>10.77.0.51:80", "TIME_WAIT"],
      ["198.51.100.11:1026>10.77.0.52:5201", "ESTABLISHED"],
      ["198.51.100.12:1027>10.77.0.53:80", "SYN_SENT"],
    ],
  );
});

test("a translated connection is named as it was opened, and its replies tell how it is translated", () => {
  const [masked, chosen] = parseConntrack(
    `tcp      6 119 TIME_WAIT src=10.77.0.51 dst=198.51.100.10 sport=1025 dport=80 src=198.51.100.10 dst=192.0.2.101 sport=80 dport=4099 [ASSURED] mark=0 use=1
tcp      6 119 TIME_WAIT src=2001:db8:c::a dst=2001:db8:1::101 sport=1025 dport=80 src=2001:db8:2::52 dst=2001:db8:c::a sport=80 dport=1025 [ASSURED] mark=0 use=1
`,
  );
  assert.equal(masked && connectionKey(masked), "10.77.0.51:1025>198.51.100.10:80");
  assert.deepEqual(masked?.reply, { source: "198.51.100.10", sourcePort: 80, target: "192.0.2.101", targetPort: 4099 });
  assert.equal(chosen && connectionKey(chosen), "2001:db8:c::a:1025>2001:db8:1::101:80");
  assert.equal(chosen?.reply.source, "2001:db8:2::52");
});

test("an empty table has no connections", () => {
  assert.deepEqual(parseConntrack("\n"), []);
});

test("a connection that two firewalls know is counted twice, one that a table lists twice once", () => {
  const [first, second] = parseConntrack(LISTING);
  assert.ok(first && second);
  const homes = tablesPerConnection([[first, first], [first, second], []]);
  assert.equal(homes.get(connectionKey(first)), 2);
  assert.equal(homes.get(connectionKey(second)), 1);
});
