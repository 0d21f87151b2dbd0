import assert from "node:assert/strict";
import { test } from "node:test";
import { addressesInTurn, errorOfAnswer } from "../../lib/lab/load.js";

test("no connection's addresses come again before all source ports of all sources were used", () => {
  const turn = addressesInTurn(["198.51.100.10", "198.51.100.11"], ["10.77.0.51", "10.77.0.52", "10.77.0.53"], 80);
  const seen = new Set<string>();
  for (let i = 0; i < 100_000; i++) {
    const { source, sourcePort } = turn.next().value;
    seen.add(`${source}:${sourcePort}`);
  }
  assert.equal(seen.size, 100_000);
});

test("every target gets requests from every source", () => {
  const turn = addressesInTurn(["198.51.100.10", "198.51.100.11"], ["10.77.0.51", "10.77.0.52"], 80);
  const pairs = new Set(Array.from({ length: 400 }, () => turn.next().value).map((a) => `${a.source}>${a.target}`));
  assert.equal(pairs.size, 4);
});

test("only a whole answer with status 200 is a success", () => {
  const head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  assert.equal(errorOfAnswer(`${head}srv1\n`), undefined);
  assert.equal(errorOfAnswer(`${head}srv`), "short answer");
  assert.equal(errorOfAnswer("HTTP/1.1 200 OK\r\n"), "short answer");
  assert.equal(errorOfAnswer(""), "no answer");
  assert.match(errorOfAnswer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") ?? "", /502/);
});
