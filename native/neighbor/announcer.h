// When to say "this VIP is here": a burst of gratuitous ARP (RFC 5227, section 3) on every takeover, and slowly for ever, because stale
// neighbour caches outlive any single announcement. Pure: the port's thread asks what is due and sends it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "../tables/vip_set.h"
#include "arp.h"

namespace rainfront {

class Announcer {
 public:
  explicit Announcer(const Mac& front_mac) : front_mac_(front_mac) {}

  // A new VIP set: VIPs that were not ours, or whose start has moved, get a burst from their start on; VIPs no longer ours fall silent.
  void update(const VipSet& vips);

  // A burst for one VIP of ours, or all, from now on; bursts asked for within a second of the last one's start are ignored.
  void again(uint64_t now_ns);

  // Frames that are due. None before a VIP's start, none when the lease has run out (they stay due).
  std::vector<ArpFrame> due(uint64_t lease_until_ns, uint64_t now_ns);

  // When `due` will next have something, if the lease holds.
  std::optional<uint64_t> nextDue_ns() const;

 private:
  struct Schedule {
    uint64_t from_ns;
    uint64_t burst_started_ns;
    std::size_t step;
    uint64_t due_ns;
  };
  static Schedule burst(uint64_t from_ns, uint64_t start_ns);

  Mac front_mac_;
  std::unordered_map<uint32_t, Schedule> schedules_;
};

}  // namespace rainfront
