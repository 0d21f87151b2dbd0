#include "questions.h"

#include <algorithm>
#include <cstring>

namespace testhost {
namespace {

constexpr size_t kEthernetLen = 14;
constexpr Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

constexpr size_t kArpFrameLen = 42;
constexpr uint8_t kArpRequest = 1;

constexpr size_t kIpv6Len = 40;
constexpr size_t kNdLen = 24;      // type to target
constexpr size_t kNdMacLen = 8;    // the option with a MAC
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kSolicitation = 135, kAdvertisement = 136;
constexpr uint8_t kSourceMac = 1, kTargetMac = 2;
constexpr uint8_t kSolicited = 0x40;
constexpr uint8_t kHopLimit = 255;

Mac macAt(const uint8_t* p) {
  Mac mac;
  memcpy(mac.data(), p, mac.size());
  return mac;
}

IpAddress addressAt(const uint8_t* p, bool is_ipv6) {
  IpAddress address;
  address.is_ipv6 = is_ipv6;
  memcpy(address.bytes.data(), p, is_ipv6 ? 16 : 4);
  return address;
}

void put16(uint8_t* p, size_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}

// Of an ICMPv6 message behind an IPv6 header, with its pseudo header (RFC 8200, section 8.1).
uint16_t icmpv6Checksum(const uint8_t* ip, size_t length) {
  uint32_t sum = static_cast<uint32_t>(length) + kIcmpv6;
  for (size_t i = 8; i < kIpv6Len + length; i += 2) sum += static_cast<uint32_t>(ip[i] << 8 | ip[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::vector<uint8_t> arpQuestion(const Mac& asker, const IpAddress& source, const IpAddress& vip) {
  std::vector<uint8_t> frame(kArpFrameLen);
  uint8_t* p = frame.data();
  memcpy(p, kBroadcast.data(), 6);
  memcpy(p + 6, asker.data(), 6);
  const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, kArpRequest};
  memcpy(p + 12, head, sizeof head);
  memcpy(p + 22, asker.data(), 6);
  memcpy(p + 28, source.bytes.data(), 4);
  memcpy(p + 38, vip.bytes.data(), 4);
  return frame;
}

// To the solicited-node group of the address (RFC 4291, section 2.7.1).
std::vector<uint8_t> solicitation(const Mac& asker, const IpAddress& source, const IpAddress& vip) {
  constexpr size_t kLength = kNdLen + kNdMacLen;
  std::vector<uint8_t> frame(kEthernetLen + kIpv6Len + kLength);
  const uint8_t* last = vip.bytes.data() + 13;
  uint8_t* p = frame.data();
  const uint8_t group_mac[] = {0x33, 0x33, 0xff, last[0], last[1], last[2]};
  memcpy(p, group_mac, 6);
  memcpy(p + 6, asker.data(), 6);
  put16(p + 12, 0x86dd);
  uint8_t* ip = p + kEthernetLen;
  ip[0] = 0x60;
  put16(ip + 4, kLength);
  ip[6] = kIcmpv6;
  ip[7] = kHopLimit;
  memcpy(ip + 8, source.bytes.data(), 16);
  const uint8_t group[] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, last[0], last[1], last[2]};
  memcpy(ip + 24, group, 16);
  uint8_t* nd = ip + kIpv6Len;
  nd[0] = kSolicitation;
  memcpy(nd + 8, vip.bytes.data(), 16);
  nd[kNdLen] = kSourceMac;
  nd[kNdLen + 1] = 1;
  memcpy(nd + kNdLen + 2, asker.data(), 6);
  put16(nd + 2, icmpv6Checksum(ip, kLength));
  return frame;
}

std::optional<Claim> readArp(std::span<const uint8_t> frame) {
  if (frame.size() < kArpFrameLen) return std::nullopt;
  const uint8_t* p = frame.data();
  const IpAddress sender = addressAt(p + 28, false), target = addressAt(p + 38, false);
  const bool is_question = p[20] == 0 && p[21] == kArpRequest;
  const Shown how = sender == target ? Shown::announcement : is_question ? Shown::question : Shown::answer;
  return Claim{how, sender, macAt(p + 22), macAt(p)};
}

// The MAC that the message gives, else that of the frame.
Mac macIn(std::span<const uint8_t> options, uint8_t kind, const Mac& fallback) {
  for (size_t at = 0; at + kNdMacLen <= options.size() && options[at + 1] != 0; at += options[at + 1] * 8u) {
    if (options[at] == kind) return macAt(options.data() + at + 2);
  }
  return fallback;
}

std::optional<Claim> readNd(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernetLen + kIpv6Len + kNdLen) return std::nullopt;
  const uint8_t* ip = frame.data() + kEthernetLen;
  const uint8_t* nd = ip + kIpv6Len;
  const size_t length = static_cast<size_t>(ip[4] << 8 | ip[5]);
  if (ip[6] != kIcmpv6 || ip[7] != kHopLimit || length < kNdLen || length % 8 != 0 || kEthernetLen + kIpv6Len + length > frame.size()) return std::nullopt;
  if ((nd[0] != kSolicitation && nd[0] != kAdvertisement) || icmpv6Checksum(ip, length) != 0) return std::nullopt;
  const std::span<const uint8_t> options(nd + kNdLen, length - kNdLen);
  const Mac from = macAt(frame.data() + 6), to = macAt(frame.data());
  if (nd[0] == kSolicitation) return Claim{Shown::question, addressAt(ip + 8, true), macIn(options, kSourceMac, from), to};
  const Shown how = (nd[4] & kSolicited) != 0 ? Shown::answer : Shown::announcement;
  return Claim{how, addressAt(nd + 8, true), macIn(options, kTargetMac, from), to};
}

}  // namespace

std::vector<uint8_t> writeQuestion(const Mac& asker, const IpAddress& source, const IpAddress& vip) {
  return vip.is_ipv6 ? solicitation(asker, source, vip) : arpQuestion(asker, source, vip);
}

std::optional<Claim> readClaim(std::span<const uint8_t> frame, bool is_ipv6) { return is_ipv6 ? readNd(frame) : readArp(frame); }

}  // namespace testhost
