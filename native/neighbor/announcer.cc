#include "announcer.h"

#include <algorithm>

namespace rainfront {

namespace {

constexpr uint64_t kMs = 1'000'000;
// Gaps between the announcements of a burst, then the last one for ever.
constexpr std::array<uint64_t, 6> kGaps_ns = {10 * kMs, 40 * kMs, 150 * kMs, 800 * kMs, 4'000 * kMs, 30'000 * kMs};
constexpr uint64_t kBurstInterval_ns_min = 1'000 * kMs;
constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

}  // namespace

Announcer::Schedule Announcer::burst(uint64_t from_ns, uint64_t start_ns) { return {from_ns, start_ns, 0, start_ns}; }

void Announcer::update(const VipSet& vips) {
  std::erase_if(schedules_, [&](const auto& entry) {
    const Vip* vip = vips.find(ipv4Address(entry.first));
    return vip == nullptr || !vip->state.owned;
  });
  for (const Vip& vip : vips.all()) {
    if (!vip.state.owned || vip.address.family != RF_ETHERTYPE_IPV4) continue;
    const auto address = static_cast<uint32_t>(vip.address.low);
    const uint64_t from_ns = vip.state.from_ns;
    auto at = schedules_.find(address);
    if (at == schedules_.end() || at->second.from_ns != from_ns) schedules_.insert_or_assign(address, burst(from_ns, from_ns));
  }
}

void Announcer::again(uint64_t now_ns) {
  for (auto& [address, schedule] : schedules_) {
    if (now_ns < schedule.burst_started_ns + kBurstInterval_ns_min) continue;
    schedule = burst(schedule.from_ns, now_ns);
  }
}

std::vector<ArpFrame> Announcer::due(uint64_t lease_until_ns, uint64_t now_ns) {
  std::vector<ArpFrame> frames;
  if (now_ns >= lease_until_ns) return frames;
  for (auto& [address, schedule] : schedules_) {
    if (now_ns < schedule.due_ns) continue;
    frames.push_back(writeArp({kBroadcast, front_mac_, ArpOperation::request, front_mac_, Mac{}, address, address}));
    schedule.due_ns = now_ns + kGaps_ns[std::min(schedule.step, kGaps_ns.size() - 1)];
    schedule.step++;
  }
  return frames;
}

std::optional<uint64_t> Announcer::nextDue_ns() const {
  std::optional<uint64_t> next;
  for (const auto& [address, schedule] : schedules_) {
    if (!next || schedule.due_ns < *next) next = schedule.due_ns;
  }
  return next;
}

}  // namespace rainfront
