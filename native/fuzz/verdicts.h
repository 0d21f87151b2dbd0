// What holds of every verdict, whatever came in. Rule numbers are those of docs/packet-path.md.
#pragma once

#include "layers.h"
#include "require.h"

namespace rainfront::fuzz {

inline bool isAmong(uint16_t cause, std::initializer_list<int> causes) { return std::find(causes.begin(), causes.end(), cause) != causes.end(); }

inline bool isArpClaim(uint16_t cause) { return isAmong(cause, {RF_COUNT_arp_conflict, RF_COUNT_arp_peer_claim}); }
inline bool isNdClaim(uint16_t cause) { return isAmong(cause, {RF_COUNT_nd_conflict, RF_COUNT_nd_peer_claim}); }

inline bool isDropCause(uint16_t cause) {
  return isArpClaim(cause) || isNdClaim(cause) ||
         isAmong(cause, {RF_COUNT_drop_runt, RF_COUNT_drop_looped, RF_COUNT_drop_not_ip, RF_COUNT_drop_malformed_ip, RF_COUNT_drop_ipv6, RF_COUNT_drop_ipv6_chain,
                         RF_COUNT_drop_malformed_l4, RF_COUNT_drop_malformed_nd, RF_COUNT_drop_malformed_arp, RF_COUNT_drop_no_view, RF_COUNT_drop_lease_void,
                         RF_COUNT_drop_stale_peer, RF_COUNT_drop_relay_bound, RF_COUNT_arp_not_owner, RF_COUNT_arp_lease_void, RF_COUNT_arp_held_back,
                         RF_COUNT_nd_not_owner, RF_COUNT_nd_lease_void, RF_COUNT_nd_held_back});
}

inline void checkCause(const rf_verdict& v) {
  require(v.kind <= RF_VERDICT_PUNT, "a verdict is one of six");
  require(v.cause < RF_COUNTER_COUNT, "a cause is a counter");
  switch (v.kind) {
    case RF_VERDICT_DROP:
      return require(isDropCause(v.cause), "what is dropped has a cause, and one that stands for a drop");
    case RF_VERDICT_REPLY:
      return require(isAmong(v.cause, {RF_COUNT_arp_answered, RF_COUNT_nd_answered, RF_COUNT_nd_defended}), "an answer is counted as one");
    case RF_VERDICT_PUNT:
      return require(v.cause == RF_COUNT_punt_fragment, "only later fragments are punted");
    case RF_VERDICT_LEAVE:
    case RF_VERDICT_PASS:
    case RF_VERDICT_RELAY:
      return require(v.cause == 0, "what goes on has no cause");
  }
}

inline void checkRelay(const rf_verdict& v, const Bytes& frame, const Home& home) {
  require((v.node != 0) == (v.kind == RF_VERDICT_RELAY), "a relay, and nothing else, names a node");
  if (v.kind != RF_VERDICT_RELAY) return;
  require(v.node != home.self(), "nothing is relayed to this node itself");
  require(!isFromLayer(frame) && !v.from_peer, "what a node of the layer has sent is not relayed again (rule 16)");
  const uint16_t authority = context.input->authority;
  require(authority != 0, "nothing is relayed without a view (rule 14)");
  require(authority == kSpread ? v.node <= 3 : v.node == authority, "a relay goes to a node of the table (rule 13)");
}

inline void checkUncarried(const rf_verdict& v, const Bytes& frame, const Home& home) {
  const auto ether = etherOf(frame);
  const bool is_ours = isMacAt(frame, 0, home.frontMac()) && !isFromNode(frame, home.frontMac());
  const bool is_uncarried = is_ours && ether && ether->type == RF_ETHERTYPE_IPV6 && !context.input->has_ipv6;
  require((v.cause == RF_COUNT_drop_ipv6) == is_uncarried, "IPv6 is dropped where it has no VIP, and nowhere else (rule 5)");
}

inline void checkPlace(const rf_verdict& v, const Bytes& frame, const Home& home) {
  const bool is_to_front = isMacAt(frame, 0, home.frontMac());
  const auto ether = etherOf(frame);
  if (v.kind == RF_VERDICT_PASS || v.kind == RF_VERDICT_RELAY || v.kind == RF_VERDICT_PUNT)
    require(is_to_front, "only what is addressed to the front MAC is taken (rule 4)");
  if (v.kind == RF_VERDICT_LEAVE && is_to_front) require(ether && ether->type == RF_ETHERTYPE_ARP, "of what is addressed to the front MAC only ARP is left");
  checkUncarried(v, frame, home);
  if (isFromNode(frame, home.frontMac())) require(v.kind == RF_VERDICT_DROP || v.kind == RF_VERDICT_LEAVE, "what came from here is not taken (rule 5)");
  if (v.from_peer) {
    require(is_to_front && isFromLayer(frame), "only frames of the layer to the front MAC come from a peer");
    require(v.kind == RF_VERDICT_PASS || v.kind == RF_VERDICT_DROP, "a peer's frame passes or is dropped");
  }
  if (v.kind == RF_VERDICT_PUNT) require(!isFromLayer(frame), "a peer has seen the first fragment (rule 12)");
  if (v.conflict) require(v.kind == RF_VERDICT_DROP && (isArpClaim(v.cause) || isNdClaim(v.cause)), "a conflict is a claim");
}

inline void checkRights(const rf_verdict& v, const Bytes& frame, const View& view) {
  if (!view.isLeaseValid(context.now_ns)) {
    require(v.kind != RF_VERDICT_RELAY && v.kind != RF_VERDICT_REPLY && v.kind != RF_VERDICT_PUNT,
            "without a lease nothing is relayed, answered or kept (rules 14, 17)");
    require(v.kind != RF_VERDICT_PASS || !v.from_peer, "without a lease nothing of a peer passes (rule 14)");
  }
  if (context.input->authority == 0) {
    require(v.kind != RF_VERDICT_RELAY && v.kind != RF_VERDICT_PUNT, "without a view nothing is relayed or kept (rule 14)");
    require(v.kind != RF_VERDICT_PASS || !v.from_peer, "without a view nothing of a peer passes (rule 14)");
  }
  if (v.from_peer && v.kind == RF_VERDICT_PASS) require(view.mayRelay(rf_load16(frame.data() + 10), context.now_ns), "only frames of who is or was a member pass (rule 15)");
}

// Nobody's claim of a VIP reaches this node's kernel (rule 18), whatever else is wrong with it.
inline void checkClaims(const rf_verdict& v, const Bytes& frame, const View& view) {
  const auto shows = [&](std::size_t at, bool is_v6) { return view.vips().find(addressAt(frame, at, is_v6)) != nullptr; };
  const auto ether = etherOf(frame);
  if (!ether) return;
  if (ether->type == RF_ETHERTYPE_ARP && frame.size() >= ether->payload + 28) {
    if (shows(ether->payload + 14, false)) require(v.kind == RF_VERDICT_DROP, "ARP that shows a VIP is dropped (rule 18)");
    return;
  }
  const auto plain = plainOf(frame);
  if (!plain || !plain->isNeighbor(frame)) return;
  const bool is_question = frame[plain->l4] == 135;
  const bool is_claim = is_question ? shows(plain->ip + 8, true) : shows(plain->l4 + 8, true);
  if (is_claim) require(v.kind == RF_VERDICT_DROP, "neighbour discovery that shows a VIP is dropped (rule 18)");
}

inline void checkVerdict(const rf_verdict& v, const Bytes& frame, const Home& home, const View& view) {
  checkCause(v);
  checkRelay(v, frame, home);
  checkPlace(v, frame, home);
  checkRights(v, frame, view);
  checkClaims(v, frame, view);
}

}  // namespace rainfront::fuzz
