// Every home of the pipeline does with every vector what the vector says.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { comparedIn, homesHere } from "./homes.js";
import { readVectors } from "./vector.js";

for (const home of homesHere().homes) {
  describe(`vectors in ${home.name}`, () => {
    for (const vector of readVectors()) {
      it(vector.name, () => {
        const { got, wanted } = comparedIn(home, vector);
        assert.deepEqual(got, wanted, vector.place);
      });
    }
  });
}
