#include "ownership_report.h"

#include <algorithm>

namespace testhost {
namespace {

constexpr size_t kRunsShown = 32;  // the latest ones

void writeVip(const ObservedVip& vip, Nanoseconds now, Json& json) {
  const Ownership& own = vip.ownership;
  json.open('{').key("vip").string(addressText(vip.address));
  json.key("double_owner_ms").ms(own.doubleOwner()).key("no_owner_ms").ms(own.noOwner(now));
  json.key("longest_silence_ms").ms(own.longestSilence(now));
  json.key("asked").count(own.requests()).key("answered").count(own.answers()).key("contested").count(own.contested());
  json.key("announcements").open('{');
  for (const auto& [mac, count] : own.announcements()) json.key(macText(mac)).count(count);
  json.close('}');
  json.key("owners").open('[');
  const auto& runs = own.runs();
  for (size_t i = runs.size() > kRunsShown ? runs.size() - kRunsShown : 0; i < runs.size(); ++i) {
    json.open('{').key("mac").string(macText(runs[i].mac)).key("from_ms").ms(runs[i].first_arrival);
    json.key("to_ms").ms(runs[i].last_request).key("answers").count(runs[i].answers).close('}');
  }
  json.close(']').close('}');
}

}  // namespace

void writeOwnership(const std::vector<ObservedVip>& vips, Nanoseconds now, Json& json) {
  Nanoseconds doubled = 0, none = 0;
  uint64_t contested = 0;
  for (const ObservedVip& vip : vips) {
    doubled += vip.ownership.doubleOwner();
    none += vip.ownership.noOwner(now);
    contested += vip.ownership.contested();
  }
  json.key("double_owner_ms").ms(doubled).key("no_owner_ms").ms(none).key("contested").count(contested);
  json.key("vips").open('[');
  for (const ObservedVip& vip : vips) writeVip(vip, now, json);
  json.close(']');
}

}  // namespace testhost
