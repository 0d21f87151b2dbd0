// Frames for the native tests, built field by field so that a test can break any of them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../neighbor/arp.h"
#include "../steer/offload.h"

namespace rainfront::test {

using Bytes = std::vector<uint8_t>;

inline constexpr Mac kLayer = {0x02, 0xaa, 0xbb, 0xcc, 0, 0};
inline constexpr Mac kStranger = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

inline Mac nodeMac(uint16_t node) {
  Mac mac = kLayer;
  rf_store16(mac.data() + 4, node);
  return mac;
}

inline uint32_t ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return static_cast<uint32_t>(a) << 24 | static_cast<uint32_t>(b) << 16 | static_cast<uint32_t>(c) << 8 | d;
}

inline void append16(Bytes& to, uint16_t v) {
  to.push_back(static_cast<uint8_t>(v >> 8));
  to.push_back(static_cast<uint8_t>(v));
}
inline void append32(Bytes& to, uint32_t v) {
  append16(to, static_cast<uint16_t>(v >> 16));
  append16(to, static_cast<uint16_t>(v));
}
inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes ports(uint16_t sport, uint16_t dport) {
  Bytes b;
  append16(b, sport);
  append16(b, dport);
  return b;
}

inline Bytes udp(uint16_t sport, uint16_t dport, std::size_t payload = 0) {
  Bytes b = ports(sport, dport);
  append16(b, static_cast<uint16_t>(8 + payload));
  append16(b, 0);
  b.resize(8 + payload, 0x5a);
  return b;
}

inline Bytes tcp(uint16_t sport, uint16_t dport, std::size_t payload = 0) {
  Bytes b = ports(sport, dport);
  append32(b, 1000);
  append32(b, 0);
  append16(b, 0x5002);
  append16(b, 65535);
  append32(b, 0);
  b.resize(20 + payload, 0x5a);
  return b;
}

inline Bytes icmp(uint8_t type, uint16_t id, const Bytes& body = {}) {
  Bytes b = {type, 0, 0, 0};
  append16(b, id);
  append16(b, 1);
  return b + body;
}

struct Ipv4 {
  uint8_t protocol = RF_PROTO_UDP;
  uint32_t src = ip(198, 51, 100, 7);
  uint32_t dst = ip(10, 77, 0, 20);
  uint16_t fragment = 0;
  std::size_t option_words = 0;
};

inline Bytes ipv4(const Ipv4& header, const Bytes& payload) {
  const std::size_t header_len = 20 + 4 * header.option_words;
  Bytes b = {static_cast<uint8_t>(0x40 | (header_len / 4)), 0};
  append16(b, static_cast<uint16_t>(header_len + payload.size()));
  append16(b, 0x1234);
  append16(b, header.fragment);
  b.push_back(64);
  b.push_back(header.protocol);
  append16(b, 0);
  append32(b, header.src);
  append32(b, header.dst);
  b.resize(header_len, 1);  // options: no-operation
  const uint16_t sum = static_cast<uint16_t>(~rf_checksum_fold(rf_checksum_add(0, b.data(), static_cast<uint32_t>(b.size()))));
  rf_store16(b.data() + 10, sum);
  return b + payload;
}

inline Bytes ethernet(const Mac& dst, const Mac& src, uint16_t ethertype, const Bytes& payload) {
  Bytes b(dst.begin(), dst.end());
  b.insert(b.end(), src.begin(), src.end());
  append16(b, ethertype);
  return b + payload;
}

inline rf_bytes bytesOf(const Bytes& bytes) { return rf_bytes_of(bytes.data(), static_cast<uint32_t>(bytes.size())); }

inline uint16_t parseFault(const Bytes& packet, rf_flow_key& key) {
  // A copy of exactly this size, so that the sanitizer sees a read past the end.
  const Bytes exact(packet);
  rf_flow flow{};
  const rf_bytes all = bytesOf(exact);
  const int fault = rf_parse_flow(RF_ETHERTYPE_IPV4, &all, all, &flow);
  key = flow.key;
  return static_cast<uint16_t>(fault);
}

inline bool sameKey(const rf_flow_key& a, const rf_flow_key& b) {
  return a.addr_low[0] == b.addr_low[0] && a.addr_low[1] == b.addr_low[1] && a.addr_high[0] == b.addr_high[0] &&
         a.addr_high[1] == b.addr_high[1] && a.ports == b.ports && a.family == b.family && a.protocol == b.protocol;
}

inline rf_flow_key keyOf(const Bytes& packet) {
  rf_flow_key key{};
  if (parseFault(packet, key) != 0) throw std::runtime_error("packet does not parse");
  return key;
}

}  // namespace rainfront::test
