// Looks for what an earlier daemon left with an addon that was built without XDP. Run on a machine of these tests (machine.ts); prints the error.

import { pino } from "pino";
import { loadConfig } from "../../lib/config/load.js";
import { RainfrontError } from "../../lib/errors.js";
import { Installer } from "../../lib/gateway/installer.js";
import { loadNative, type NativeAddon } from "../../lib/native.js";

const { xdp: _, ...native } = loadNative();
const config = loadConfig(process.argv[2] ?? "");
try {
  const found = await new Installer(config, native as NativeAddon, pino({ level: "silent" })).takeLeftovers(
    "af_packet",
  );
  console.log(found);
} catch (error) {
  console.log(error instanceof RainfrontError ? error.toLine() : String(error));
}
