// What the fuzzer itself sees in a frame, to say what must hold of it. Written apart from native/steer, and for plain packets only: it need not
// understand what it makes no statement about.
#pragma once

#include <optional>

#include "../tables/vip_set.h"
#include "input.h"

namespace rainfront::fuzz {

// The sum of RFC 1071 in its definition's words, one word at a time.
inline uint16_t onesComplementSum(std::span<const uint8_t> bytes, uint32_t from = 0) {
  uint32_t sum = from;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0));
    while (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<uint16_t>(sum);
}

// Where the tags end.
struct Ether {
  unsigned tags;
  std::size_t payload;
  uint16_t type;
};

inline std::optional<Ether> etherOf(const Bytes& frame) {
  for (unsigned tags = 0; tags <= 2; tags++) {
    const std::size_t at = 12 + 4 * tags;
    if (frame.size() < at + 2) return std::nullopt;
    const uint16_t type = rf_load16(frame.data() + at);
    if (tags == 2 || (type != 0x8100 && type != 0x88a8)) return Ether{tags, at + 2, type};
  }
  return std::nullopt;
}

// A whole IP packet whose transport header follows the IP header at once, and that is no fragment.
struct Plain {
  bool is_v6;
  std::size_t ip;
  std::size_t l4;
  std::size_t end;
  uint8_t protocol;

  std::size_t addresses() const { return ip + (is_v6 ? 8 : 12); }
  std::size_t addressLen() const { return is_v6 ? 16 : 4; }
  // TCP or UDP, with its header.
  bool hasPorts() const { return (protocol == 6 && end - l4 >= 20) || (protocol == 17 && end - l4 >= 8); }
  // Of neighbour discovery: what is asked for, or shown.
  bool isNeighbor(const Bytes& frame) const { return is_v6 && protocol == 58 && end - l4 >= 24 && (frame[l4] == 135 || frame[l4] == 136); }

  // Of addresses, length and protocol, and all of the transport.
  uint16_t sum(const Bytes& frame) const {
    const uint8_t* p = frame.data();
    const auto length = static_cast<uint32_t>(end - l4);
    const uint16_t before = onesComplementSum({p + addresses(), 2 * addressLen()}, protocol + length);
    return onesComplementSum({p + l4, length}, before);
  }
};

// `at`: where the packet begins; `type`: its ethertype.
inline std::optional<Plain> plainAt(const Bytes& frame, std::size_t at, uint16_t type) {
  const std::size_t left = frame.size() - at;
  const uint8_t* p = frame.data() + at;
  if (type == 0x0800) {
    if (left < 20) return std::nullopt;
    const std::size_t header = static_cast<std::size_t>(p[0] & 15) * 4;
    const std::size_t total = rf_load16(p + 2);
    if (p[0] >> 4 != 4 || header < 20 || total < header || total > left || (rf_load16(p + 6) & 0x3fff) != 0) return std::nullopt;
    return Plain{false, at, at + header, at + total, p[9]};
  }
  if (type != 0x86dd || left < 40 || p[0] >> 4 != 6 || rf_load16(p + 4) > left - 40) return std::nullopt;
  return Plain{true, at, at + 40, at + 40 + rf_load16(p + 4), p[6]};
}

inline std::optional<Plain> plainOf(const Bytes& frame) {
  const auto ether = etherOf(frame);
  return ether ? plainAt(frame, ether->payload, ether->type) : std::nullopt;
}

// The checksum of an ICMPv6 message is what keeps most spoiled ones from the code behind it.
inline void mendIcmpv6(Bytes& frame) {
  const auto plain = plainOf(frame);
  if (!plain || !plain->is_v6 || plain->protocol != 58 || plain->end - plain->l4 < 4) return;
  rf_store16(frame.data() + plain->l4 + 2, 0);
  rf_store16(frame.data() + plain->l4 + 2, static_cast<uint16_t>(~plain->sum(frame)));
}

inline Address addressAt(const Bytes& frame, std::size_t at, bool is_v6) {
  const uint8_t* p = frame.data() + at;
  return is_v6 ? Address{RF_ETHERTYPE_IPV6, rf_load64(p), rf_load64(p + 8)} : ipv4Address(rf_load32(p));
}

// Under whichever of a node's MACs.
inline bool isFromLayer(const Bytes& frame) {
  return frame.size() >= 12 && (frame[6] & 0xf3) == test::kLayer[0] && std::equal(frame.begin() + 7, frame.begin() + 10, test::kLayer.begin() + 1);
}
// Whichever of the node's.
inline bool isFromNode(const Bytes& frame, const Mac& mac) { return isFromLayer(frame) && frame[10] == mac[4] && frame[11] == mac[5]; }
inline bool isMacAt(const Bytes& frame, std::size_t at, const Mac& mac) {
  return frame.size() >= at + 6 && std::equal(mac.begin(), mac.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace rainfront::fuzz
