#include "guard.h"

namespace rainfront {

ArpVerdict NeighborGuard::answer(const Arp& request, const Vip& vip, uint64_t lease_until_ns, uint64_t now_ns, Counters& counters) const {
  if (!vip.owned) {
    counters.add(RF_COUNT_arp_not_owner);
    return Discard{};
  }
  if (now_ns >= lease_until_ns) {
    counters.add(RF_COUNT_arp_lease_void);
    return Discard{};
  }
  if (now_ns < vip.from_ns) {
    counters.add(RF_COUNT_arp_held_back);
    return Discard{};
  }
  counters.add(RF_COUNT_arp_answered);
  return Send{writeArp({request.sender_mac, front_mac_, ArpOperation::reply, front_mac_, request.sender_mac, vip.address, request.sender_ip})};
}

ArpVerdict NeighborGuard::fromSegment(std::span<const uint8_t> frame, const VipSet& vips, uint64_t lease_until_ns, uint64_t now_ns,
                                      Counters& counters, bool& conflict) const {
  auto arp = parseArp(frame);
  if (!arp) {
    counters.add(RF_COUNT_drop_malformed_arp);
    return Discard{};
  }
  if (arp->eth_src == front_mac_) {
    counters.add(RF_COUNT_drop_looped);
    return Discard{};
  }
  if (const Vip* claimed = vips.find(arp->sender_ip)) {
    // Somebody shows this VIP. The kernel has it configured and must not see that (it would report an address conflict).
    const bool peer = rf_mac_same_layer(arp->sender_mac.data(), front_mac_.data());
    counters.add(peer ? RF_COUNT_arp_peer_claim : RF_COUNT_arp_conflict);
    conflict = conflict || claimed->owned;
    return Discard{};
  }
  if (arp->operation == ArpOperation::request) {
    const Vip* wanted = vips.find(arp->target_ip);
    return wanted ? answer(*arp, *wanted, lease_until_ns, now_ns, counters) : ArpVerdict{Discard{}};
  }
  // An answer: to a question of the kernel's inner end if it comes to the front MAC. Others are the NIC's kernel's own business.
  if (arp->eth_dst == front_mac_) return Deliver{};
  return Discard{};
}

ArpVerdict NeighborGuard::fromKernel(std::span<const uint8_t> frame, const VipSet& vips, Counters& counters) const {
  auto arp = parseArp(frame);
  if (!arp) {
    counters.add(RF_COUNT_drop_kernel_out);
    return Discard{};
  }
  const bool question = arp->operation == ArpOperation::request && arp->sender_ip != arp->target_ip && !vips.find(arp->target_ip);
  if (!question) {
    counters.add(RF_COUNT_arp_blocked_out);
    return Discard{};
  }
  counters.add(RF_COUNT_arp_masked);
  Arp probe = *arp;
  probe.eth_src = front_mac_;
  probe.sender_mac = front_mac_;
  probe.sender_ip = 0;
  return Send{writeArp(probe)};
}

}  // namespace rainfront
