// survey({ nic, mac, addresses, patience_ms }): [{ address, mac }].
#pragma once

#include <napi.h>

namespace rainfront::addon {

Napi::Value survey(const Napi::CallbackInfo& info);

}  // namespace rainfront::addon
