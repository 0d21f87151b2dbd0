// What holds of every answer: it shows a VIP that is ours now, under the front MAC, to one that can have asked.
#pragma once

#include "verdicts.h"

namespace rainfront::fuzz {

inline constexpr Mac kAllNodes = {0x33, 0x33, 0, 0, 0, 1};

inline bool isPartSame(const Bytes& a, std::size_t a_at, const Bytes& b, std::size_t b_at, std::size_t length) {
  return a.size() >= a_at + length && b.size() >= b_at + length && std::memcmp(a.data() + a_at, b.data() + b_at, length) == 0;
}

// The address that an answer shows. Two owners of one VIP are the worst that can happen.
inline void checkShown(const Address& shown, const View& view) {
  const Vip* vip = view.vips().find(shown);
  require(vip != nullptr, "an answer shows a VIP");
  require(vip->state.owned, "an answer shows a VIP that is ours (rule 17)");
  require(view.isLeaseValid(context.now_ns) && context.now_ns >= vip->state.from_ns, "an answer comes in its time (rule 17)");
}

inline void checkArpReply(const Bytes& reply, std::size_t at, const Home& home, const View& view) {
  require(reply.size() == at + 28, "an ARP answer has 28 bytes behind its tags");
  require(rf_load64(reply.data() + at) == 0x0001080006040002, "an ARP answer is one for Ethernet and IPv4");
  require(isMacAt(reply, at + 8, home.frontMac()), "an ARP answer shows the front MAC");
  checkShown(addressAt(reply, at + 14, false), view);
}

inline void checkNdReply(const Bytes& reply, const Plain& ip, bool is_defence, const Home& home, const View& view) {
  const uint8_t* nd = reply.data() + ip.l4;
  require(reply.size() == ip.l4 + 32 && ip.end == reply.size(), "a neighbour advertisement has 32 bytes");
  require(ip.protocol == 58 && reply[ip.ip + 7] == 255, "a neighbour advertisement has hop limit 255");
  require(nd[0] == 136 && nd[1] == 0 && (nd[4] & 0x40) == (is_defence ? 0 : 0x40), "an advertisement is solicited unless it goes to all");
  require(ip.sum(reply) == 0xffff, "an advertisement's checksum is right");
  require(std::equal(nd + 8, nd + 24, reply.data() + ip.ip + 8), "an advertisement comes from its target");
  require(nd[24] == 2 && nd[25] == 1 && isMacAt(reply, ip.l4 + 26, home.frontMac()), "an advertisement shows the front MAC");
  require((reply[ip.ip + 24] == 0xff) == is_defence, "an advertisement goes to a group only in defence");
  checkShown(addressAt(reply, ip.l4 + 8, true), view);
}

// The other nodes of the layer must not believe it.
inline void checkReplyElsewhere(const Bytes& reply, const Home& home, View& view) {
  Home other(view, home.self() == 2 ? 1 : 2);
  const rf_verdict v = other.steer(reply, context.now_ns).verdict;
  require(v.kind == RF_VERDICT_DROP && isAmong(v.cause, {RF_COUNT_arp_peer_claim, RF_COUNT_nd_peer_claim}),
          "our answer is kept from the kernels of the other nodes (rule 18)");
}

inline void checkReply(const Outcome& outcome, const Bytes& frame, const Home& home, View& view) {
  if (outcome.verdict.kind != RF_VERDICT_REPLY) return;
  const Bytes& reply = outcome.reply;
  const bool is_defence = outcome.verdict.cause == RF_COUNT_nd_defended;
  const auto asked = etherOf(frame);
  const auto ether = etherOf(reply);
  require(home.isReplyInBounds, "an answer fits into its room");
  require(asked && ether && asked->tags == ether->tags && isPartSame(frame, 12, reply, 12, asked->payload - 12),
          "an answer has the question's tags and type (rule 17)");
  require(isMacAt(reply, 6, home.frontMac()), "an answer comes from the front MAC");
  require(is_defence ? isMacAt(reply, 0, kAllNodes) : (reply[0] & 1) == 0, "an answer goes to a group only in defence");
  if (outcome.verdict.cause == RF_COUNT_arp_answered) {
    require(ether->type == RF_ETHERTYPE_ARP, "an ARP answer is ARP");
    checkArpReply(reply, ether->payload, home, view);
    require(isPartSame(frame, ether->payload + 24, reply, ether->payload + 14, 4), "an answer shows what was asked for");
  } else {
    const auto ip = plainOf(reply);
    const auto question = plainOf(frame);
    require(ip.has_value() && ip->is_v6, "an advertisement is IPv6");
    checkNdReply(reply, *ip, is_defence, home, view);
    require(question && question->isNeighbor(frame) && isPartSame(frame, question->l4 + 8, reply, ip->l4 + 8, 16), "an answer shows what was asked for");
  }
  checkReplyElsewhere(reply, home, view);
}

}  // namespace rainfront::fuzz
