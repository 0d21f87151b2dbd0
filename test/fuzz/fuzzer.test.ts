// The fuzzer finds what was planted, each as what it is, and finds nothing where nothing is.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Fuzzer } from "./fuzzer.js";
import { judge } from "./oracle.js";
import { TARGETS } from "./planted.js";
import type { Target } from "./target.js";
import { TARGETS as REAL_TARGETS } from "./targets/index.js";

const RUNS_MAX = 200_000;
/** Of a run that comes to the planted exception sooner than most: the blind one must fail as long. */
const SEED = 3;

function planted(name: string): Target {
  const target = TARGETS.find((one) => one.name === name);
  assert.ok(target);
  return target;
}

function run(target: Target, options: { readonly seed?: number; readonly runs?: number } = {}): Fuzzer {
  const fuzzer = new Fuzzer({ target, seed: options.seed ?? SEED, corpus: [] });
  fuzzer.runCorpus();
  while (fuzzer.failure === undefined && fuzzer.runs < (options.runs ?? RUNS_MAX)) fuzzer.step();
  return fuzzer;
}

describe("the fuzzer", () => {
  const magic = run(planted("magic"));

  test("reaches an exception behind three bytes that must be right one after the other", () => {
    assert.equal(magic.failure?.kind, "throws");
    assert.match(magic.failure.detail, /the planted bug/);
    assert.deepEqual([...magic.failure.input.subarray(0, 3)], [0xc3, 0x5a, 0x17]);
  });

  test("needs the coverage for that: without it, the same number of inputs finds nothing", () => {
    const blind: Target = { ...planted("magic"), covers: /nothing/ };
    assert.equal(run(blind, { runs: magic.runs }).failure, undefined);
  });

  test("keeps the inputs on the way there, cut down to what matters", () => {
    assert.deepEqual(
      magic.kept.map((input) => [...input]),
      [[0xc3], [0xc3, 0x5a]],
    );
  });

  for (const name of ["list", "buffer", "growing"]) {
    test(`reports a decoder that allocates by a length it has not checked: ${name}`, () => {
      assert.equal(run(planted(name)).failure?.kind, "allocates");
    });
  }

  test("reports a decoder that changes its input", () => {
    assert.equal(run(planted("changes-input")).failure?.kind, "wrong");
  });

  test("reports a decoder that takes long, if it does so every time", () => {
    assert.equal(run(planted("squares")).failure?.kind, "slow");
  });

  test("reports a value that does not survive being encoded and decoded again", () => {
    assert.equal(run(planted("forgetful")).failure?.kind, "wrong");
  });

  test("reports nothing where nothing is wrong", () => {
    assert.equal(run(planted("sound"), { runs: 5000 }).failure, undefined);
  });

  test("does the same again with the same seed, and something else with another", () => {
    const trace = (seed: number) => {
      const inputs: string[] = [];
      const onInput = (input: Uint8Array) => inputs.push(Buffer.from(input).toString("hex"));
      const fuzzer = new Fuzzer({ target: planted("magic"), seed, corpus: [], onInput });
      fuzzer.runCorpus();
      for (let i = 0; i < 4; i++) fuzzer.step();
      return inputs;
    };
    assert.deepEqual(trace(3), trace(3));
    assert.notDeepEqual(trace(3), trace(4));
  });
});

describe("every target", () => {
  for (const target of REAL_TARGETS) {
    test(`${target.name}: its seeds are valid, of several kinds and within its limit`, () => {
      const seeds = target.seeds();
      const verdicts = seeds.map((input) => judge(target, input));
      assert.deepEqual(
        verdicts.filter((verdict) => !verdict.ok),
        [],
      );
      assert.ok(new Set(verdicts.map((verdict) => verdict.ok && verdict.label)).size > 1);
      assert.ok(seeds.every((input) => input.length <= target.bytesMax));
    });

    test(`${target.name}: the pattern of its sources matches what decodes`, () => {
      const fuzzer = new Fuzzer({ target, seed: 1, corpus: [] });
      fuzzer.runCorpus();
      assert.ok(fuzzer.reached > 200, `${fuzzer.reached} source offsets`);
    });
  }
});
