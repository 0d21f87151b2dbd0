// What must become of frames that follow from this one: with padding, with a tag, the answer, an error about it, and the relay at its other end.
// Each is steered in a copy of the node as it was before the frame.
#pragma once

#include "verdicts.h"

namespace rainfront::fuzz {

inline bool isSame(const rf_verdict& a, const rf_verdict& b) {
  return a.kind == b.kind && a.cause == b.cause && a.node == b.node && a.from_peer == b.from_peer && a.conflict == b.conflict;
}

// Padding can make whole what was cut off, but changes nothing else (rule 6).
inline void checkPadded(const Outcome& outcome, const Bytes& frame, Home home) {
  const rf_verdict& v = outcome.verdict;
  const bool is_malformed = isAmong(v.cause, {RF_COUNT_drop_runt, RF_COUNT_drop_malformed_ip, RF_COUNT_drop_malformed_l4, RF_COUNT_drop_malformed_arp,
                                              RF_COUNT_drop_malformed_nd});
  if (v.kind == RF_VERDICT_LEAVE || is_malformed) return;
  Bytes padded = frame;
  padded.resize(frame.size() + 1 + frame.size() % 46, 0xa5);
  const Outcome got = home.steer(padded, context.now_ns);
  require(isSame(got.verdict, v) && got.reply == outcome.reply, "padding changes nothing (rule 6)");
}

inline void checkTagged(const Outcome& outcome, const Bytes& frame, Home home) {
  const auto ether = etherOf(frame);
  if (!ether || frame.size() < 14 || ether->tags == 2) return;
  const std::initializer_list<uint8_t> tag = {0x81, 0, 0, 7};
  Bytes tagged = frame;
  tagged.insert(tagged.begin() + 12, tag);
  const Outcome got = home.steer(tagged, context.now_ns);
  require(isSame(got.verdict, outcome.verdict), "a tag does not decide (rule 2)");
  Bytes reply = outcome.reply;
  if (!reply.empty()) reply.insert(reply.begin() + 12, tag);
  require(got.reply == reply, "an answer keeps the tags (rule 17)");
}

inline Bytes mirrored(const Bytes& frame, const Plain& plain) {
  Bytes mirror = frame;
  uint8_t* addresses = mirror.data() + plain.addresses();
  std::swap_ranges(addresses, addresses + plain.addressLen(), addresses + plain.addressLen());
  uint8_t* ports = mirror.data() + plain.l4;
  std::swap_ranges(ports, ports + 2, ports + 2);
  return mirror;
}

// From a router on the way, to one of our hosts.
inline Bytes errorAbout(const Bytes& quoted, bool is_v6, const Mac& front_mac) {
  if (!is_v6) {
    const test::Ipv4 header{RF_PROTO_ICMP, test::ip(172, 16, 0, 1), test::ip(10, 77, 0, 20)};
    return test::ethernet(front_mac, test::kStranger, RF_ETHERTYPE_IPV4, test::ipv4(header, test::icmp(3, 0, quoted)));
  }
  const Bytes message = test::icmp(1, 0, quoted);
  Bytes packet = {0x60, 0, 0, 0};
  test::append16(packet, static_cast<uint16_t>(message.size()));
  packet.insert(packet.end(), {58, 64, 0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20});
  packet.insert(packet.end(), message.begin(), message.end());
  return test::ethernet(front_mac, test::kStranger, RF_ETHERTYPE_IPV6, packet);
}

inline Bytes partOf(const Bytes& frame, std::size_t from, std::size_t to) {
  return Bytes(frame.begin() + static_cast<std::ptrdiff_t>(from), frame.begin() + static_cast<std::ptrdiff_t>(to));
}

// Whatever an error quotes, it is steered or malformed.
inline void checkQuoted(const Bytes& frame, std::size_t quoted, Home home) {
  const auto ether = etherOf(frame);
  if (!ether || (ether->type != RF_ETHERTYPE_IPV4 && ether->type != RF_ETHERTYPE_IPV6)) return;
  const std::size_t end = std::min(frame.size(), ether->payload + quoted);
  const Bytes error = errorAbout(partOf(frame, ether->payload, end), ether->type == RF_ETHERTYPE_IPV6, home.frontMac());
  const rf_verdict v = home.steer(error, context.now_ns).verdict;
  checkRelay(v, error, home);
  require(v.kind == RF_VERDICT_PASS || v.kind == RF_VERDICT_RELAY || isAmong(v.cause, {RF_COUNT_drop_ipv6, RF_COUNT_drop_malformed_l4, RF_COUNT_drop_no_view, RF_COUNT_drop_lease_void}),
          "an error is steered, unless what it quotes is malformed (rule 11)");
  checkUncarried(v, error, home);
}

inline rf_flow_key keyOf(const Bytes& frame, const Plain& plain) {
  rf_flow flow{};
  const rf_bytes whole = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  rf_bytes packet = whole;
  rf_skip(&packet, static_cast<uint32_t>(plain.ip));
  const int fault = rf_parse_flow(plain.is_v6 ? RF_ETHERTYPE_IPV6 : RF_ETHERTYPE_IPV4, &whole, packet, &flow);
  require(fault == 0 && flow.fragment == RF_FRAGMENT_NONE && !flow.is_local, "a plain TCP or UDP packet is well-formed");
  return flow.key;
}

// A packet, the packets that answer it and the errors about it are one flow's (rules 10, 11).
inline void checkOneFlow(const Outcome& outcome, const Bytes& frame, const Home& before) {
  const auto plain = plainOf(frame);
  if (!plain || !plain->hasPorts()) return;
  const Bytes mirror = mirrored(frame, *plain);
  require(test::sameKey(keyOf(frame, *plain), keyOf(mirror, *plain)), "a packet and its answer have one key (rule 10)");
  Home there = before;
  require(isSame(there.steer(mirror, context.now_ns).verdict, outcome.verdict), "a packet and its answer have one handler (rule 10)");
  if (isFromLayer(frame) || !isMacAt(frame, 0, before.frontMac())) return;
  Home about = before;
  const Bytes error = errorAbout(partOf(frame, plain->ip, plain->l4 + 8), plain->is_v6, before.frontMac());
  require(isSame(about.steer(error, context.now_ns).verdict, outcome.verdict), "an error goes where its packet goes (rule 11)");
}

// A relay changes the MACs alone, and passes at its other end (rule 16).
inline void checkRelayed(const rf_verdict& v, const Bytes& frame, const Home& home, View& view) {
  if (v.kind != RF_VERDICT_RELAY) return;
  Bytes relayed = frame;
  rf_relay_rewrite(relayed.data(), home.frontMac().data(), v.node, v.relay);
  require(isMacAt(relayed, 0, test::nodeMac(v.node)) && isMacAt(relayed, 6, home.frontMac()), "a relay goes from this node to the other");
  require(std::equal(frame.begin() + 12, frame.end(), relayed.begin() + 12, relayed.end()), "a relay changes the MACs alone");
  if (!view.hasMember(home.self())) return;
  Home other(view, v.node);
  const rf_verdict got = other.steer(relayed, context.now_ns).verdict;
  require(got.kind == RF_VERDICT_PASS && got.from_peer, "a relayed frame passes at its other end (rule 16)");
}

inline void checkVariants(const Outcome& outcome, const Bytes& frame, const Home& before, View& view) {
  checkPadded(outcome, frame, before);
  checkTagged(outcome, frame, before);
  checkOneFlow(outcome, frame, before);
  checkRelayed(outcome.verdict, frame, before, view);
}

}  // namespace rainfront::fuzz
