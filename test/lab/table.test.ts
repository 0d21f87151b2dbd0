import assert from "node:assert/strict";
import { test } from "node:test";
import { type GatewayRow, renderTable } from "../../lib/lab/table.js";

const traffic = { ok_per_s: 100, failed_per_s: 1, ok: 1234, failed: 5, silence_ms: 12, double_owner_ms: 0 };

const gw1: GatewayRow = {
  name: "gw1",
  state: "member",
  vips: ["192.0.2.101", "10.77.0.104"],
  in_pps: 1500.4,
  out_pps: 900,
  relayed_pps: 33,
  dropped: { drop_no_view: 7, drop_runt: 0 },
  firewallInvalid: 2,
};

test("a row tells who owns what, what flows, and why frames were dropped", () => {
  const [head, row] = renderTable([gw1], traffic).split("\n");
  assert.match(head ?? "", /^node +state +in pps +out pps +relayed +fw invalid +VIPs owned +dropped$/);
  assert.match(row ?? "", /^gw1 +member +1500 +900 +33 +2 +e101 i104 +no_view 7$/);
});

test("columns stay aligned whatever is in them", () => {
  const killed = { ...gw1, name: "gw12", state: "killed", vips: [], dropped: {} };
  const [head, first, second] = renderTable([gw1, killed], traffic).split("\n");
  const column = head?.indexOf("VIPs owned") ?? 0;
  assert.equal(first?.indexOf("e101"), column);
  assert.equal(second?.[column], "-");
});

test("requests, silence and owners are told below", () => {
  assert.match(renderTable([], traffic), /ok 100\/s failed 1\/s \(total 1234 ok, 5 failed\).*12 ms.*two owners 0 ms/);
});
