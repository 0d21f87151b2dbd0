// How a configuration is refused, for the tests of what must be.

import assert from "node:assert/strict";
import { loadConfig } from "../../lib/config/load.js";
import { RainfrontError } from "../../lib/errors.js";
import { withConfig } from "./sample.js";

export function refusal(action: () => unknown): RainfrontError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof RainfrontError, String(error));
    return error;
  }
  return assert.fail("it was accepted");
}

export const refusalOf = (yaml: string) => withConfig(yaml, (file) => refusal(() => loadConfig(file)));
