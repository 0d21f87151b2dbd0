// Every home of the pipeline does with every vector what the vector says.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { comparedIn, homesHere } from "./homes.js";
import { readVectors } from "./vector.js";

const { homes, skipped } = homesHere();

for (const [name, why] of Object.entries(skipped)) describe(`vectors in ${name}`, { skip: why }, () => {});

for (const home of homes) {
  describe(`vectors in ${home.name}`, () => {
    for (const vector of readVectors()) {
      it(vector.name, () => {
        const { got, wanted } = comparedIn(home, vector);
        assert.deepEqual(got, wanted, vector.place);
      });
    }
  });
}
