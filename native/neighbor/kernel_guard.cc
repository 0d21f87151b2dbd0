#include "kernel_guard.h"

namespace rainfront {

std::optional<ArpFrame> KernelGuard::arp(std::span<const uint8_t> frame, const VipSet& vips, Counters& counters) const {
  auto arp = parseArp(frame);
  if (!arp) {
    counters.add(RF_COUNT_drop_kernel_out);
    return std::nullopt;
  }
  const bool question = arp->operation == ArpOperation::request && arp->sender_ip != arp->target_ip && !vips.find(ipv4Address(arp->target_ip));
  if (!question) {
    counters.add(RF_COUNT_arp_blocked_out);
    return std::nullopt;
  }
  counters.add(RF_COUNT_arp_masked);
  Arp probe = *arp;
  probe.eth_src = front_mac_;
  probe.sender_mac = front_mac_;
  probe.sender_ip = 0;
  return writeArp(probe);
}

}  // namespace rainfront
