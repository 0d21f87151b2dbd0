#include "kernel_guard.h"

#include <algorithm>

#include "../tables/steering_tables.h"

namespace rainfront {

namespace {

using Verdict = KernelGuard::Verdict;

// Where things are behind an ARP header, an IPv6 header or a neighbour message's.
constexpr uint32_t kArpOperation = 6;
constexpr uint32_t kArpSenderMac = 8;
constexpr uint32_t kArpSenderIp = 14;
constexpr uint32_t kArpTargetIp = 24;
constexpr uint32_t kIpv6Source = 8;
constexpr uint32_t kNdChecksum = 2;
constexpr uint8_t kSourceLinkLayerAddress = 1;

Verdict stays(int cause, Counters& counters) {
  counters.add(cause);
  return Verdict::stays;
}

bool isArp(const uint8_t* p) {
  const uint16_t operation = rf_load16(p + kArpOperation);
  return rf_load16(p) == 1 && rf_load16(p + 2) == RF_ETHERTYPE_IPV4 && p[4] == RF_MAC_LEN && p[5] == 4 && (p[kArpSenderMac] & 1) == 0 &&
         (operation == RF_ARP_REQUEST || operation == RF_ARP_REPLY);
}

Address ipv6At(const uint8_t* p) { return {RF_ETHERTYPE_IPV6, rf_load64(p), rf_load64(p + 8)}; }

}  // namespace

Verdict KernelGuard::judge(std::span<uint8_t> frame, const VipSet& vips, Counters& counters) const {
  rf_ethernet eth;
  if (rf_parse_ethernet(rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size())), &eth)) return stays(RF_COUNT_drop_kernel_out, counters);
  switch (eth.ethertype) {
    case RF_ETHERTYPE_IPV4:
      return Verdict::packet;
    case RF_ETHERTYPE_ARP:
      return arp(frame, eth, vips, counters);
    case RF_ETHERTYPE_IPV6:
      return ipv6(frame, eth, vips, counters);
    default:
      return stays(RF_COUNT_drop_kernel_out, counters);
  }
}

Verdict KernelGuard::arp(std::span<uint8_t> frame, const rf_ethernet& eth, const VipSet& vips, Counters& counters) const {
  if (!rf_has(&eth.payload, RF_ARP_LEN) || !isArp(eth.payload.p)) return stays(RF_COUNT_drop_kernel_out, counters);
  uint8_t* arp = frame.data() + eth.header_len;
  const uint32_t sender = rf_load32(arp + kArpSenderIp);
  const uint32_t target = rf_load32(arp + kArpTargetIp);
  if (rf_load16(arp + kArpOperation) != RF_ARP_REQUEST || sender == target || vips.find(ipv4Address(target)))
    return stays(RF_COUNT_arp_blocked_out, counters);
  counters.add(RF_COUNT_arp_masked);
  rf_mac_copy(frame.data() + RF_MAC_LEN, front_mac_.data());
  rf_mac_copy(arp + kArpSenderMac, front_mac_.data());
  store32(arp + kArpSenderIp, 0);
  return Verdict::question;
}

Verdict KernelGuard::ipv6(std::span<uint8_t> frame, const rf_ethernet& eth, const VipSet& vips, Counters& counters) const {
  // Answers would not be let in.
  if (!vips.hasIpv6()) return stays(RF_COUNT_drop_ipv6, counters);
  const rf_bytes whole = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  rf_packet packet;
  if (rf_parse_ipv6(&whole, eth.payload, 1, &packet)) return stays(RF_COUNT_drop_kernel_out, counters);
  if (packet.fragment == RF_FRAGMENT_LATER || packet.protocol != RF_PROTO_ICMPV6) return Verdict::packet;
  if (!rf_has(&packet.l4, RF_ICMP_HEADER_LEN)) return stays(RF_COUNT_drop_kernel_out, counters);
  const uint8_t type = packet.l4.p[0];
  if (!rf_icmpv6_is_local(type)) return Verdict::packet;
  // Listener reports, router solicitations and whatever else is of the link: the port hears what it needs without.
  if (type != RF_ND_SOLICITATION && type != RF_ND_ADVERTISEMENT) return stays(RF_COUNT_nd_blocked_out, counters);
  return discovery(frame, eth, vips, counters);
}

Verdict KernelGuard::discovery(std::span<uint8_t> frame, const rf_ethernet& eth, const VipSet& vips, Counters& counters) const {
  const rf_bytes whole = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  const uint8_t* ip = eth.payload.p;
  rf_nd_message message;
  const bool is_plain = ip[6] == RF_PROTO_ICMPV6 && ip[7] == RF_ND_HOP_LIMIT;
  if (!is_plain || rf_nd_read(&whole, eth.header_len, rf_load16(ip + 4), &message) != 0) return stays(RF_COUNT_drop_kernel_out, counters);
  if (vips.find(ipv6At(message.bytes + 8))) return stays(RF_COUNT_nd_blocked_out, counters);
  if (message.bytes[0] == RF_ND_ADVERTISEMENT) return Verdict::packet;
  if (vips.find(ipv6At(message.addresses))) {
    counters.add(RF_COUNT_nd_masked);
    mask(frame, eth.header_len);
  }
  return Verdict::question;
}

// Of a solicitation whose options rf_nd_read has found whole. An unspecified source would not do: it is a claim of the target (RFC 4862, section 5.4).
void KernelGuard::mask(std::span<uint8_t> frame, uint32_t ip_at) const {
  const Mac& mac = front_mac_;
  const std::array<uint8_t, 16> link_local = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};
  uint8_t* ip = frame.data() + ip_at;
  uint8_t* nd = ip + RF_IPV6_HEADER_LEN;
  const uint32_t len = rf_load16(ip + 4);
  rf_mac_copy(frame.data() + RF_MAC_LEN, mac.data());
  std::copy(link_local.begin(), link_local.end(), ip + kIpv6Source);
  for (uint32_t at = RF_ND_LEN; at < len; at += nd[at + 1] * 8u) {
    if (nd[at] == kSourceLinkLayerAddress) rf_mac_copy(nd + at + 2, mac.data());
  }
  rf_store16(nd + kNdChecksum, 0);
  uint64_t sum = rf_checksum_add(RF_PROTO_ICMPV6 + len, ip + kIpv6Source, 32);
  sum = rf_checksum_add(sum, nd, len);
  rf_store16(nd + kNdChecksum, static_cast<uint16_t>(~rf_checksum_fold(sum)));
}

}  // namespace rainfront
