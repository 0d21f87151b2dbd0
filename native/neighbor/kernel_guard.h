// What the kernel may say to the segment: it has every VIP and must not be seen to. Called by the front port's thread for every frame that comes
// out of the kernel's inner end; what comes from the segment is guarded by steer/neighbor.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "../tables/counters.h"
#include "../tables/vip_set.h"
#include "arp.h"

namespace rainfront {

class KernelGuard {
 public:
  explicit KernelGuard(const Mac& front_mac) : front_mac_(front_mac) {}

  // The frame that goes out instead of the kernel's ARP: its questions without a VIP in them (RFC 5227 probe). Nothing: it stays here, counted.
  std::optional<ArpFrame> arp(std::span<const uint8_t> frame, const VipSet& vips, Counters& counters) const;

 private:
  Mac front_mac_;
};

}  // namespace rainfront
