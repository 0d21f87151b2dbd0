// IPv6 packets and neighbour discovery for the native tests, beside packets.h. Checksums are summed here by themselves, byte by byte.
#pragma once

#include "../tables/vip_set.h"
#include "packets.h"

namespace rainfront::test {

// 2001:db8::`last`, and what else the tests speak of.
inline Bytes ipv6Host(uint8_t last) { return {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}; }
inline Bytes ipv6Unspecified() { return Bytes(16, 0); }
inline Bytes ipv6LinkLocal(uint8_t last) { return {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}; }
inline Bytes ipv6AllNodes() { return {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}; }
inline Bytes ipv6SolicitedNode(const Bytes& target) { return {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]}; }
inline Mac groupMac(const Bytes& group) { return {0x33, 0x33, group[12], group[13], group[14], group[15]}; }

inline Address addressOf(const Bytes& ipv6) { return {RF_ETHERTYPE_IPV6, rf_load64(ipv6.data()), rf_load64(ipv6.data() + 8)}; }

inline Bytes ipv6(uint8_t next_header, const Bytes& src, const Bytes& dst, const Bytes& payload, uint8_t hop_limit = 64) {
  Bytes b = {0x60, 0, 0, 0};
  append16(b, static_cast<uint16_t>(payload.size()));
  b.push_back(next_header);
  b.push_back(hop_limit);
  return b + src + dst + payload;
}

// Of a UDP datagram. `bits` of the fragment header: where it belongs, in units of 8 bytes from bit 3 on; 1: more follow.
inline Bytes ipv6Fragment(uint16_t bits, const Bytes& src, const Bytes& dst) {
  Bytes header = {17, 0};
  append16(header, bits);
  return ipv6(44, src, dst, header + Bytes{0, 0, 0, 7} + udp(1, 2, 40));
}

// Of the pseudo header and the message; 0xffff of one whose checksum is right.
inline uint16_t icmpv6Sum(const Bytes& src, const Bytes& dst, const Bytes& message) {
  uint32_t sum = 58 + static_cast<uint32_t>(message.size());
  const Bytes all = src + dst + message;
  for (std::size_t i = 0; i < all.size(); i++) sum += i % 2 == 0 ? static_cast<uint32_t>(all[i]) << 8 : all[i];
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}

inline Bytes icmpv6(const Bytes& src, const Bytes& dst, Bytes message) {
  const auto sum = static_cast<uint16_t>(~icmpv6Sum(src, dst, message));
  message[2] = static_cast<uint8_t>(sum >> 8);
  message[3] = static_cast<uint8_t>(sum);
  return ipv6(58, src, dst, message, 255);
}

inline Bytes linkLayerOption(uint8_t kind, const Mac& mac) { return Bytes{kind, 1} + Bytes(mac.begin(), mac.end()); }

inline Bytes solicitation(const Bytes& src, const Bytes& dst, const Bytes& target, const Bytes& options = {}) {
  return icmpv6(src, dst, Bytes{135, 0, 0, 0, 0, 0, 0, 0} + target + options);
}

inline Bytes advertisement(uint8_t flags, const Bytes& src, const Bytes& dst, const Bytes& target, const Bytes& options = {}) {
  return icmpv6(src, dst, Bytes{136, 0, 0, 0, flags, 0, 0, 0} + target + options);
}

// How a host of the segment asks for an address.
inline Bytes askForIpv6(const Bytes& target) {
  const Bytes group = ipv6SolicitedNode(target);
  return ethernet(groupMac(group), kStranger, RF_ETHERTYPE_IPV6, solicitation(ipv6Host(5), group, target, linkLayerOption(1, kStranger)));
}

// The frame behind one more tag.
inline Bytes tagged(uint16_t id, const Bytes& frame, uint16_t tpid = RF_ETHERTYPE_VLAN) {
  Bytes b(frame.begin(), frame.begin() + 12);
  append16(b, tpid);
  append16(b, id);
  return b + Bytes(frame.begin() + 12, frame.end());
}

}  // namespace rainfront::test
