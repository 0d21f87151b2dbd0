// Opens the datagram port that this machine can have. Used where a session opens its sockets.

import { loadNativeIfPresent, type NativeAddon } from "../native.js";
import type { DatagramPort, DatagramPortOptions } from "./datagramPort.js";
import { openNativePort } from "./datagramPortNative.js";
import { NodeDatagramPort } from "./datagramPortNode.js";

/** Throws an error with the system's code, such as EADDRINUSE. */
export async function openDatagramPort(
  options: DatagramPortOptions,
  native: NativeAddon | undefined = loadNativeIfPresent(),
): Promise<DatagramPort> {
  return native === undefined ? NodeDatagramPort.open(options) : openNativePort(native, options);
}
