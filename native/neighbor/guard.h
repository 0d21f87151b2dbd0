// The neighbor guard decides who is seen: only a VIP's owner, while its lease is valid, answers ARP for it, and nothing else that leaves
// this node shows a VIP. Called by the front port's thread for every ARP frame from the NIC and from the kernel's inner end.
// Source: WO 01/35601, figure 15 (answers of the other servers are kept from the operating system).
#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "../tables/counters.h"
#include "../tables/vip_set.h"
#include "arp.h"

namespace rainfront {

// What becomes of an ARP frame. Discard: nothing (already counted). Deliver: on to where it was going. Send: this frame to the NIC.
struct Discard {};
struct Deliver {};
struct Send {
  ArpFrame frame;
};
using ArpVerdict = std::variant<Discard, Deliver, Send>;

class NeighborGuard {
 public:
  explicit NeighborGuard(const Mac& front_mac) : front_mac_(front_mac) {}

  // A frame from the segment. Answers for owned VIPs; lets answers to the kernel's own questions through. `conflict` is set when a
  // stranger claims a VIP that this node owns, which calls for announcing it again.
  ArpVerdict fromSegment(std::span<const uint8_t> frame, const VipSet& vips, uint64_t lease_until_ns, uint64_t now_ns, Counters& counters,
                         bool& conflict) const;

  // A frame from the kernel's inner end. Its questions go out without a VIP in them (RFC 5227 probe); all else stays here.
  ArpVerdict fromKernel(std::span<const uint8_t> frame, const VipSet& vips, Counters& counters) const;

 private:
  ArpVerdict answer(const Arp& request, const Vip& vip, uint64_t lease_until_ns, uint64_t now_ns, Counters& counters) const;

  Mac front_mac_;
};

}  // namespace rainfront
