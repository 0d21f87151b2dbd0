// When to say "this VIP is here": a burst of gratuitous ARP (RFC 5227, section 3) or unsolicited neighbour advertisements (RFC 4861, section 7.2.6)
// on every takeover, and slowly for ever, because stale neighbour caches outlive any single announcement. Pure: the port's thread asks what is due
// and sends it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "../steer/verdict.h"
#include "../tables/vip_set.h"
#include "arp.h"

namespace rainfront {

// One frame that shows a VIP with the front MAC.
struct Announcement {
  Address vip;
  rf_reply frame;

  std::span<const uint8_t> bytes() const { return {frame.frame, frame.len}; }
  // Under which it is counted when it was sent.
  int counter() const { return vip.family == RF_ETHERTYPE_IPV6 ? RF_COUNT_nd_announced : RF_COUNT_arp_announced; }
};

class Announcer {
 public:
  explicit Announcer(const Mac& front_mac) : front_mac_(front_mac) {}

  // A new VIP set: VIPs that were not ours, or whose start has moved, get a burst from their start on; VIPs no longer ours fall silent.
  void update(const VipSet& vips);

  // A burst for one VIP of ours, or all, from now on; bursts asked for within a second of the last one's start are ignored.
  void again(uint64_t now_ns);

  // Frames that are due. None before a VIP's start, none when the lease has run out (they stay due).
  std::vector<Announcement> due(uint64_t lease_until_ns, uint64_t now_ns);

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
  Announcement announcementOf(const Address& vip) const;

  Mac front_mac_;
  std::map<Address, Schedule> schedules_;
};

}  // namespace rainfront
