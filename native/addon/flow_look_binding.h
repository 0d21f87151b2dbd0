// JavaScript's looks at flows: what is known of them here, which changes nothing.
#pragma once

#include <napi.h>

#include "../conntrack/entry.h"

namespace rainfront::addon {

// An object of functions: lib/native.ts has its types.
Napi::Object flowLookExports(Napi::Env env);

// Throws RF_ARGUMENT.
rf_flow_key flowKeyArgument(const Napi::Value& value);
Napi::Object connectionObject(Napi::Env env, const ConntrackEntry& entry);

}  // namespace rainfront::addon
