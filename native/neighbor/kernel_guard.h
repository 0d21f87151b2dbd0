// What the kernel may say to the segment: it has every VIP and must not be seen to. Called by the front port's thread for every frame that comes
// out of the kernel's inner end; what comes from the segment is guarded by steer/neighbor.h.
#pragma once

#include <cstdint>
#include <span>

#include "../steer/ethernet.h"
#include "../tables/counters.h"
#include "../tables/vip_set.h"
#include "arp.h"

namespace rainfront {

class KernelGuard {
 public:
  enum class Verdict {
    stays,     // counted
    question,  // between neighbours: leaves, and is waited for
    packet,    // leaves
  };

  explicit KernelGuard(const Mac& front_mac) : front_mac_(front_mac) {}

  // Whether a frame of the kernel's may leave. A question that shows a VIP as the asker is rewritten in place: it goes out as an RFC 5227 probe, or
  // under the link-local address that the front MAC makes (RFC 4291, appendix A).
  Verdict judge(std::span<uint8_t> frame, const VipSet& vips, Counters& counters) const;

 private:
  Verdict arp(std::span<uint8_t> frame, const rf_ethernet& eth, const VipSet& vips, Counters& counters) const;
  Verdict ipv6(std::span<uint8_t> frame, const rf_ethernet& eth, const VipSet& vips, Counters& counters) const;
  Verdict discovery(std::span<uint8_t> frame, const rf_ethernet& eth, const VipSet& vips, Counters& counters) const;
  void mask(std::span<uint8_t> frame, uint32_t ip_at) const;

  Mac front_mac_;
};

}  // namespace rainfront
