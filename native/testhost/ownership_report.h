// The observer's report about its VIPs as JSON members. Used by `observe` and `replay`.
#pragma once

#include <vector>

#include "json.h"
#include "ownership.h"

namespace testhost {

struct ObservedVip {
  IpAddress address;
  Ownership ownership;
};

void writeOwnership(const std::vector<ObservedVip>& vips, Nanoseconds now, Json& json);

}  // namespace testhost
