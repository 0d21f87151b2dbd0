// The package's public face: what `import … from "rainfront"` gives. Everything else is internal.

export type { Config, NodeConfig, SegmentConfig, SegmentName, VipConfig } from "./config/config.js";
export { loadConfig } from "./config/load.js";
export { ERROR_CODES, type ErrorCode, RainfrontError } from "./errors.js";
export type { CounterInfo, FrontPort, FrontPortOptions, FrontPortTables, FrontPortVip, NativeAddon } from "./native.js";
export { loadNative } from "./native.js";
export { RaincoreEngine } from "./raincore/engine.js";
export { SecureChannel, type SecureChannelOptions } from "./raincore/secureChannel.js";
export { deriveTimers, type Timers } from "./raincore/timers.js";
export type * from "./raincore/types.js";
export { Carriage, type CarriageState } from "./session/carriage.js";
export type { Lock, LockRequest } from "./session/lock.js";
export type { RaincoreOptions } from "./session/options.js";
export type { CreatePlugin, PluginHost, SessionPlugin } from "./session/plugin.js";
export type { Delivered, Guarantee, LockDescription, PeerOptions, SessionStats } from "./session/protocol.js";
export { MESSAGE_BYTES_MAX, Raincore, type RaincoreEvents } from "./session/raincore.js";
export { frontMac } from "./steering/frontMac.js";
export { buildMaglev, MAGLEV_SLOTS } from "./steering/maglev.js";
export { VERSION } from "./version.js";
export { type VipAnswer, VipModule, type VipModuleConfig } from "./vip/vipTable.js";
