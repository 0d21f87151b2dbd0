// The other code that frames reach in the port: what the kernel may say, and checksums that were left open.
#pragma once

#include "../neighbor/kernel_guard.h"
#include "../steer/offload.h"
#include "verdicts.h"

namespace rainfront::fuzz {

// What leaves claims no VIP: another node of the layer would say so.
inline void checkHeardElsewhere(const Bytes& frame, const Home& home, View& view) {
  Home other(view, home.self() == 2 ? 1 : 2);
  const uint16_t cause = other.steer(frame, context.now_ns).verdict.cause;
  require(!isArpClaim(cause) && !isNdClaim(cause), "the kernel claims no VIP");
}

// A solicitation that showed a VIP as the asker shows the front MAC alone, and is one that others believe.
inline void checkMaskedQuestion(const Bytes& frame, const Home& home) {
  const auto plain = plainOf(frame);
  require(plain && plain->isNeighbor(frame) && frame[plain->l4] == 135 && plain->sum(frame) == 0xffff, "a masked question is a right one");
  require(isMacAt(frame, 6, home.frontMac()) && rf_load16(frame.data() + plain->ip + 8) == 0xfe80, "a masked question comes from the front MAC");
  for (std::size_t at = plain->l4 + 24; at + 8 <= plain->end && frame[at + 1] != 0; at += std::size_t{8} * frame[at + 1])
    if (frame[at] == 1) require(isMacAt(frame, at + 2, home.frontMac()), "a masked question shows the front MAC");
}

// The frame as one of the kernel's.
inline void checkKernelGuard(const Bytes& frame, const Home& home, View& view) {
  using Verdict = KernelGuard::Verdict;
  Bytes judged(frame);
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  Counters counters{words.data()};
  const Verdict verdict = KernelGuard(home.frontMac()).judge(judged, view.vips(), counters);
  uint64_t counted = 0;
  for (const uint64_t word : words) counted += word;
  const uint64_t masked = words[RF_COUNT_arp_masked] + words[RF_COUNT_nd_masked];
  const uint64_t kept = words[RF_COUNT_drop_kernel_out] + words[RF_COUNT_drop_ipv6] + words[RF_COUNT_arp_blocked_out] + words[RF_COUNT_nd_blocked_out];
  require(counted == masked + kept, "the guard counts what it keeps and what it changes");
  require(kept == (verdict == Verdict::stays ? 1u : 0u), "what the guard keeps is counted once");
  if (masked == 0) require(judged == frame, "the guard changes nothing else");
  if (masked != 0) require(verdict == Verdict::question && judged.size() == frame.size(), "only questions are changed");
  if (verdict != Verdict::stays) checkHeardElsewhere(judged, home, view);
  if (words[RF_COUNT_nd_masked] != 0) checkMaskedQuestion(judged, home);
  const auto ether = etherOf(judged);
  if (verdict == Verdict::stays || !ether || ether->type != RF_ETHERTYPE_ARP) return;
  // The parser of ARP knows no tags.
  judged.erase(judged.begin() + 12, judged.begin() + static_cast<std::ptrdiff_t>(ether->payload) - 2);
  const auto probe = parseArp(judged);
  require(probe && probe->operation == ArpOperation::request && probe->sender_ip == 0, "the kernel only asks, without an address of its own");
  require(probe->eth_src == home.frontMac() && probe->sender_mac == home.frontMac(), "the kernel asks under the front MAC");
  require(view.vips().find(ipv4Address(probe->target_ip)) == nullptr, "the kernel does not ask for a VIP");
}

// The packet with the source port that makes its sum `sum`, its checksum being left open: the ends of the numbers are rare by chance.
inline Bytes withSum(Bytes packet, const Plain& plain, uint16_t sum) {
  rf_store16(packet.data() + plain.l4 + (plain.protocol == 17 ? 6 : 16), 0);
  rf_store16(packet.data() + plain.l4, 0);
  const std::array<uint8_t, 2> now = {static_cast<uint8_t>(~plain.sum(packet) >> 8), static_cast<uint8_t>(~plain.sum(packet))};
  rf_store16(packet.data() + plain.l4, onesComplementSum(now, sum));
  return packet;
}

inline void checkChecksum(const Bytes& packet, const Plain& plain) {
  Bytes done(packet);
  const uint16_t type = plain.is_v6 ? RF_ETHERTYPE_IPV6 : RF_ETHERTYPE_IPV4;
  require(rf_complete_checksum(type, done.data(), static_cast<uint32_t>(done.size())) == 1, "a TCP or UDP packet gets its checksum");
  require(plain.sum(done) == 0xffff, "a completed checksum is right");
  if (plain.protocol == 17) require(rf_load16(done.data() + plain.l4 + 6) != 0, "a UDP checksum is not 0, which is none (RFC 768)");
}

inline void checkOffload(const Bytes& frame) {
  const auto ether = etherOf(frame);
  if (!ether || (ether->type != RF_ETHERTYPE_IPV4 && ether->type != RF_ETHERTYPE_IPV6)) return;
  const Bytes packet(frame.begin() + static_cast<std::ptrdiff_t>(ether->payload), frame.end());
  Bytes done(packet);
  const int is_done = rf_complete_checksum(ether->type, done.data(), static_cast<uint32_t>(done.size()));
  const auto plain = plainAt(packet, 0, ether->type);
  if (plain && plain->hasPorts()) {
    for (const Bytes& one : {packet, withSum(packet, *plain, 0xffff), withSum(packet, *plain, 1)}) checkChecksum(one, *plain);
  }
  if (is_done == 0) return require(done == packet, "a packet without a checksum stays as it is");
  std::size_t changed = 0;
  for (std::size_t at = 0; at < packet.size(); at++) changed += done[at] != packet[at] ? 1 : 0;
  require(changed <= 2, "a checksum is two bytes");
  Bytes again(done);
  require(rf_complete_checksum(ether->type, again.data(), static_cast<uint32_t>(again.size())) == 1 && again == done, "a completed checksum stays");
}

}  // namespace rainfront::fuzz
