#include "announcer.h"

#include <algorithm>

#include "../tables/steering_tables.h"

namespace rainfront {

namespace {

constexpr uint64_t kMs = 1'000'000;
// Gaps between the announcements of a burst, then the last one for ever.
constexpr std::array<uint64_t, 6> kGaps_ns = {10 * kMs, 40 * kMs, 150 * kMs, 800 * kMs, 4'000 * kMs, 30'000 * kMs};
constexpr uint64_t kBurstInterval_ns_min = 1'000 * kMs;
constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

rf_reply gratuitousArp(uint32_t vip, const Mac& front_mac) {
  const ArpFrame arp = writeArp({kBroadcast, front_mac, ArpOperation::request, front_mac, Mac{}, vip, vip});
  rf_reply frame{};
  frame.len = arp.size();
  std::copy(arp.begin(), arp.end(), frame.frame);
  return frame;
}

// The advertisement by which duplicate address detection is answered: to all nodes, and unasked, it is the one of RFC 4861, section 7.2.6.
rf_reply unsolicitedAdvertisement(const Address& vip, const Mac& front_mac) {
  std::array<uint8_t, RF_ETH_HEADER_LEN> header{};
  rf_store16(header.data() + 2 * RF_MAC_LEN, RF_ETHERTYPE_IPV6);
  rf_ethernet eth{};
  eth.dst = header.data();
  eth.src = header.data() + RF_MAC_LEN;
  eth.header_len = header.size();
  std::array<uint8_t, 16> target;
  for (unsigned i = 0; i < 8; i++) {
    target[i] = static_cast<uint8_t>(vip.high >> (56 - 8 * i));
    target[8 + i] = static_cast<uint8_t>(vip.low >> (56 - 8 * i));
  }
  rf_reply frame{};
  rf_nd_answer(&frame, &eth, front_mac.data(), target.data(), nullptr);
  return frame;
}

}  // namespace

Announcer::Schedule Announcer::burst(uint64_t from_ns, uint64_t start_ns) { return {from_ns, start_ns, 0, start_ns}; }

void Announcer::update(const VipSet& vips) {
  std::erase_if(schedules_, [&](const auto& entry) {
    const Vip* vip = vips.find(entry.first);
    return vip == nullptr || !vip->state.owned;
  });
  for (const Vip& vip : vips.all()) {
    if (!vip.state.owned) continue;
    const uint64_t from_ns = vip.state.from_ns;
    auto at = schedules_.find(vip.address);
    if (at == schedules_.end() || at->second.from_ns != from_ns) schedules_.insert_or_assign(vip.address, burst(from_ns, from_ns));
  }
}

void Announcer::again(uint64_t now_ns) {
  for (auto& [address, schedule] : schedules_) {
    if (now_ns < schedule.burst_started_ns + kBurstInterval_ns_min) continue;
    schedule = burst(schedule.from_ns, now_ns);
  }
}

Announcement Announcer::announcementOf(const Address& vip) const {
  if (vip.family == RF_ETHERTYPE_IPV6) return {vip, unsolicitedAdvertisement(vip, front_mac_)};
  return {vip, gratuitousArp(static_cast<uint32_t>(vip.low), front_mac_)};
}

std::vector<Announcement> Announcer::due(uint64_t lease_until_ns, uint64_t now_ns) {
  std::vector<Announcement> announcements;
  if (now_ns >= lease_until_ns) return announcements;
  for (auto& [vip, schedule] : schedules_) {
    if (now_ns < schedule.due_ns) continue;
    announcements.push_back(announcementOf(vip));
    schedule.due_ns = now_ns + kGaps_ns[std::min(schedule.step, kGaps_ns.size() - 1)];
    schedule.step++;
  }
  return announcements;
}

std::optional<uint64_t> Announcer::nextDue_ns() const {
  std::optional<uint64_t> next;
  for (const auto& [address, schedule] : schedules_) {
    if (!next || schedule.due_ns < *next) next = schedule.due_ns;
  }
  return next;
}

}  // namespace rainfront
