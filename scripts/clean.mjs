// Removes what tsc made, so that a module that was renamed or deleted is not packed. Called by `npm pack`.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./process.mjs";

rmSync(join(ROOT, "dist"), { recursive: true, force: true });
