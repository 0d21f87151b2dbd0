// The package's public face: what `import … from "rainfront"` gives. Everything else is internal.

export type { Config, NodeConfig, SegmentConfig, SegmentName, VipConfig } from "./config/config.js";
export { loadConfig } from "./config/load.js";
export { ERROR_CODES, type ErrorCode, RainfrontError } from "./errors.js";
export type { CounterInfo, FrontPort, FrontPortOptions, FrontPortTables, FrontPortVip, NativeAddon } from "./native.js";
export { loadNative } from "./native.js";
export { Raincore } from "./raincore/raincore.js";
export { SecureChannel, type SecureChannelOptions } from "./raincore/secureChannel.js";
export { deriveTimers, type Timers } from "./raincore/timers.js";
export type * from "./raincore/types.js";
export { frontMac } from "./steering/frontMac.js";
export { buildMaglev, MAGLEV_SLOTS } from "./steering/maglev.js";
export { VERSION } from "./version.js";
export { type VipAnswer, VipModule, type VipModuleConfig } from "./vip/vipTable.js";
