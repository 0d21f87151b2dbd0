// The pipeline's tables as JavaScript gives them; lib/native.ts has their types. Used by the classes that have tables.
#pragma once

#include <napi.h>

#include <memory>

#include "../tables/steering_tables.h"

namespace rainfront::addon {

// Both throw RF_ARGUMENT, naming the field.
std::shared_ptr<const SteeringTable> steeringTableOf(const Napi::Value& value);
VipSet vipSetOf(const Napi::Value& value);

}  // namespace rainfront::addon
