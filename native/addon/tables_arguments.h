// The pipeline's tables as JavaScript gives them; lib/native.ts has their types. Used by the classes that have tables.
#pragma once

#include <napi.h>

#include <memory>

#include "../tables/steering_tables.h"

namespace rainfront::addon {

// All of these throw RF_ARGUMENT, naming the field.
std::shared_ptr<const SteeringTable> steeringTableOf(const Napi::Value& value);
// 16 bytes.
rf_hash_key hashKeyOf(const Napi::Value& value);
VipSet vipSetOf(const Napi::Value& value);
// May be left out.
rf_port_ranges portRangesOf(const Napi::Value& value);

struct KnownFlow {
  rf_flow_key key;
  rf_assignment assignment;
  uint64_t now_ns;
};

// Of (frame, node, epoch, now_ns): the flow of an untagged frame, and who handles it. Throws RF_ARGUMENT.
KnownFlow knownFlowOf(const Napi::CallbackInfo& info);

}  // namespace rainfront::addon
