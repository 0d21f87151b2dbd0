// The layout of an Ethernet/IPv4 ARP frame (RFC 826), read with bounds and written whole. Used by the guard and the announcer.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "../steer/mac.h"

namespace rainfront {

inline constexpr std::size_t kArpFrameLen = 42;
using Mac = std::array<uint8_t, 6>;
using ArpFrame = std::array<uint8_t, kArpFrameLen>;

enum class ArpOperation : uint16_t { request = 1, reply = 2 };

struct Arp {
  Mac eth_dst, eth_src;
  ArpOperation operation;
  Mac sender_mac, target_mac;
  uint32_t sender_ip, target_ip;  // host byte order
};

inline Mac macAt(const uint8_t* p) {
  Mac mac;
  std::memcpy(mac.data(), p, mac.size());
  return mac;
}

// nullopt: cut off, not Ethernet/IPv4, an unknown operation, or a sender whose address is a group's.
inline std::optional<Arp> parseArp(std::span<const uint8_t> frame) {
  if (frame.size() < kArpFrameLen) return std::nullopt;
  const uint8_t* p = frame.data();
  if (rf_load16(p + 12) != RF_ETHERTYPE_ARP || rf_load16(p + 14) != 1 || rf_load16(p + 16) != RF_ETHERTYPE_IPV4 || p[18] != 6 || p[19] != 4)
    return std::nullopt;
  uint16_t operation = rf_load16(p + 20);
  if (operation != 1 && operation != 2) return std::nullopt;
  if ((p[22] & 1) != 0) return std::nullopt;
  return Arp{macAt(p), macAt(p + 6), static_cast<ArpOperation>(operation), macAt(p + 22), macAt(p + 32), rf_load32(p + 28), rf_load32(p + 38)};
}

inline void store32(uint8_t* p, uint32_t v) {
  rf_store16(p, static_cast<uint16_t>(v >> 16));
  rf_store16(p + 2, static_cast<uint16_t>(v));
}

inline ArpFrame writeArp(const Arp& arp) {
  ArpFrame frame{};
  uint8_t* p = frame.data();
  std::memcpy(p, arp.eth_dst.data(), 6);
  std::memcpy(p + 6, arp.eth_src.data(), 6);
  rf_store16(p + 12, RF_ETHERTYPE_ARP);
  rf_store16(p + 14, 1);
  rf_store16(p + 16, RF_ETHERTYPE_IPV4);
  p[18] = 6;
  p[19] = 4;
  rf_store16(p + 20, static_cast<uint16_t>(arp.operation));
  std::memcpy(p + 22, arp.sender_mac.data(), 6);
  store32(p + 28, arp.sender_ip);
  std::memcpy(p + 32, arp.target_mac.data(), 6);
  store32(p + 38, arp.target_ip);
  return frame;
}

}  // namespace rainfront
