/* The neighbor guard: who is seen. Only a VIP's owner, while its lease is valid, answers ARP (RFC 826) and neighbour solicitations (RFC 4861) for
   it, and nobody's claim of a VIP reaches this node's kernel, which has every VIP. Pure; called by steer.h for frames from the segment.
   Source: WO 01/35601, figure 15 (answers of the other servers are kept from the operating system). */
#ifndef RAINFRONT_STEER_NEIGHBOR_H
#define RAINFRONT_STEER_NEIGHBOR_H

#include "checksum.h"
#include "icmp.h"
#include "mac.h"
#include "tables.h"
#include "verdict.h"

#define RF_ARP_LEN 28u
#define RF_ARP_REQUEST 1u
#define RF_ARP_REPLY 2u

#define RF_ND_LEN 24u        /* type to target, before the options */
#define RF_ND_LEN_MAX 88u    /* with more options than anybody sends */
#define RF_ND_ANSWER_LEN 32u /* with the link-layer address */
#define RF_ND_HOP_LIMIT 255u /* what no router has forwarded */
/* Router, solicited, override: an owner is a gateway, and its answer is newer than any other. */
#define RF_ND_ANSWER_FLAGS 0xe0u
#define RF_ND_DEFENCE_FLAGS 0xa0u

/* What the answers of ARP and ND have in common: whether this node may give one for `vip`. 0, or why not (`causes`, in this order: another's,
   lease void, not before its time). */
RF_INLINE int rf_may_answer(const struct rf_vip *vip, const struct rf_tables *tables, uint64_t now_ns, int not_owner, int lease_void, int held_back) {
  if (!vip->owned) return not_owner;
  if (now_ns >= rf_tables_lease_until_ns(tables)) return lease_void;
  if (now_ns < vip->from_ns) return held_back;
  return 0;
}

/* Somebody shows a VIP as his own. */
RF_INLINE struct rf_verdict rf_claimed(const struct rf_vip *vip, const uint8_t *by_mac, const uint8_t *front_mac, int peer_cause, int stranger_cause) {
  struct rf_verdict v = rf_drop(rf_mac_same_layer(by_mac, front_mac) ? peer_cause : stranger_cause, 0);
  v.conflict = vip->owned;
  return v;
}

RF_INLINE uint8_t *rf_reply_begin(struct rf_reply *reply, const struct rf_ethernet *eth, const uint8_t *dst, const uint8_t *front_mac, uint32_t payload_len) {
  rf_mac_copy(reply->frame, dst);
  rf_mac_copy(reply->frame + RF_MAC_LEN, front_mac);
  /* Tags and ethertype as they came. */
  for (unsigned i = 2 * RF_MAC_LEN; i < RF_ETH_HEADER_LEN + RF_VLAN_TAGS_MAX * RF_VLAN_TAG_LEN; i++) {
    if (i < eth->header_len) reply->frame[i] = eth->dst[i];
  }
  reply->len = eth->header_len + payload_len;
  return reply->frame + eth->header_len;
}

RF_INLINE struct rf_verdict rf_arp(const struct rf_ethernet *eth, const uint8_t *front_mac, const struct rf_tables *tables, uint64_t now_ns, struct rf_reply *reply) {
  if (!rf_has(&eth->payload, RF_ARP_LEN)) return rf_drop(RF_COUNT_drop_malformed_arp, 0);
  const uint8_t *p = eth->payload.p;
  const uint16_t operation = rf_load16(p + 6);
  const uint8_t *sender_mac = p + 8;
  const int is_arp = rf_load16(p) == 1 && rf_load16(p + 2) == RF_ETHERTYPE_IPV4 && p[4] == RF_MAC_LEN && p[5] == 4 && !(sender_mac[0] & 1);
  if (!is_arp || (operation != RF_ARP_REQUEST && operation != RF_ARP_REPLY)) return rf_drop(RF_COUNT_drop_malformed_arp, 0);
  if (rf_mac_equal(eth->src, front_mac)) return rf_drop(RF_COUNT_drop_looped, 0);
  const uint64_t sender[2] = {0, rf_load32(p + 14)};
  const uint64_t target[2] = {0, rf_load32(p + 24)};
  const struct rf_vip *claimed = rf_tables_vip(tables, RF_ETHERTYPE_IPV4, sender);
  if (claimed) return rf_claimed(claimed, sender_mac, front_mac, RF_COUNT_arp_peer_claim, RF_COUNT_arp_conflict);
  if (operation == RF_ARP_REPLY) return rf_mac_equal(eth->dst, front_mac) ? rf_pass(0) : rf_leave();
  const struct rf_vip *wanted = rf_tables_vip(tables, RF_ETHERTYPE_IPV4, target);
  if (!wanted) return rf_leave();
  const int cause = rf_may_answer(wanted, tables, now_ns, RF_COUNT_arp_not_owner, RF_COUNT_arp_lease_void, RF_COUNT_arp_held_back);
  if (cause) return rf_drop(cause, 0);

  uint8_t *answer = rf_reply_begin(reply, eth, sender_mac, front_mac, RF_ARP_LEN);
  for (unsigned i = 0; i < 6; i++) answer[i] = p[i];
  rf_store16(answer + 6, RF_ARP_REPLY);
  rf_mac_copy(answer + 8, front_mac);
  for (unsigned i = 0; i < 4; i++) answer[14 + i] = p[24 + i];
  rf_mac_copy(answer + 18, sender_mac);
  for (unsigned i = 0; i < 4; i++) answer[24 + i] = p[14 + i];
  return rf_replied(RF_COUNT_arp_answered);
}

/* A neighbour advertisement for `target` (16 bytes), to the one that asked, or to all (`to` absent) in defence against one that wants the
   address for itself (RFC 4862, section 5.4.3). */
RF_INLINE void rf_nd_answer(struct rf_reply *reply, const struct rf_ethernet *eth, const uint8_t *front_mac, const uint8_t *target, const uint8_t *to) {
  static const uint8_t all_nodes_mac[RF_MAC_LEN] = {0x33, 0x33, 0, 0, 0, 1};
  uint8_t *ip = rf_reply_begin(reply, eth, to ? eth->src : all_nodes_mac, front_mac, RF_IPV6_HEADER_LEN + RF_ND_ANSWER_LEN);
  uint8_t *nd = ip + RF_IPV6_HEADER_LEN;
  for (unsigned i = 0; i < RF_IPV6_HEADER_LEN + RF_ND_ANSWER_LEN; i++) ip[i] = 0;
  ip[0] = 0x60;
  rf_store16(ip + 4, RF_ND_ANSWER_LEN);
  ip[6] = RF_PROTO_ICMPV6;
  ip[7] = RF_ND_HOP_LIMIT;
  for (unsigned i = 0; i < 16; i++) {
    ip[8 + i] = target[i];
    if (to) ip[24 + i] = to[i];
    nd[8 + i] = target[i];
  }
  if (!to) { /* ff02::1 */
    ip[24] = 0xff;
    ip[25] = 2;
    ip[39] = 1;
  }
  nd[0] = RF_ND_ADVERTISEMENT;
  nd[4] = to ? RF_ND_ANSWER_FLAGS : RF_ND_DEFENCE_FLAGS;
  nd[24] = 2; /* target link-layer address, in units of 8 bytes */
  nd[25] = 1;
  rf_mac_copy(nd + 26, front_mac);
  uint64_t sum = rf_checksum_add(RF_PROTO_ICMPV6 + RF_ND_ANSWER_LEN, ip + 8, 32);
  sum = rf_checksum_add(sum, nd, RF_ND_ANSWER_LEN);
  rf_store16(nd + 2, (uint16_t)~rf_checksum_fold(sum));
}

/* The options of a neighbour message: whole, and none of no length (RFC 4861, 7.1.1). Returns whether they are, and the link-layer address of
   `kind` if there is one. */
RF_INLINE int rf_nd_options(struct rf_bytes b, uint8_t kind, const uint8_t **mac) {
  *mac = 0;
  for (unsigned i = 0; i < (RF_ND_LEN_MAX - RF_ND_LEN) / 8; i++) {
    if (b.left == 0) return 1;
    if (!rf_has(&b, 8)) return 0;
    const uint32_t len = (uint32_t)b.p[1] * 8u;
    if (len == 0) return 0;
    if (b.p[0] == kind) *mac = b.p + 2;
    if (!rf_has(&b, len)) return 0;
    rf_skip(&b, len);
  }
  return b.left == 0;
}

RF_INLINE uint64_t rf_sum_of(struct rf_bytes b) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < RF_ND_LEN_MAX / 2; i++) {
    if (!rf_has(&b, 2)) break;
    sum += rf_load16(b.p);
    rf_skip(&b, 2);
  }
  if (rf_has(&b, 1)) sum += (uint32_t)b.p[0] << 8;
  return sum;
}

/* A neighbour solicitation or advertisement. Nobody sends them behind extension headers, but to get past a guard. */
RF_INLINE struct rf_verdict rf_nd(const struct rf_ethernet *eth, const uint8_t *front_mac, const struct rf_tables *tables, uint64_t now_ns, struct rf_reply *reply) {
  const struct rf_bytes ip = eth->payload;
  if (!rf_has(&ip, RF_IPV6_HEADER_LEN) || ip.p[6] != RF_PROTO_ICMPV6) return rf_drop(RF_COUNT_drop_malformed_nd, 0);
  struct rf_bytes nd = {ip.p + RF_IPV6_HEADER_LEN, ip.end, rf_load16(ip.p + 4)}; /* is there: the packet is whole */
  if (!rf_has(&nd, RF_ND_LEN) || nd.left > RF_ND_LEN_MAX) return rf_drop(RF_COUNT_drop_malformed_nd, 0);
  const int is_question = nd.p[0] == RF_ND_SOLICITATION;
  const uint8_t *source = ip.p + 8;
  const uint8_t *target = nd.p + 8;
  const uint64_t from[2] = {rf_load64(source), rf_load64(source + 8)};
  const uint64_t about[2] = {rf_load64(target), rf_load64(target + 8)};
  const struct rf_bytes options = {nd.p + RF_ND_LEN, nd.end, nd.left - RF_ND_LEN};
  const uint8_t *mac;
  const int is_probe = is_question && (from[0] | from[1]) == 0; /* duplicate address detection */
  const int is_whole = rf_nd_options(options, is_question ? 1 : 2, &mac);
  const uint64_t sum = rf_checksum_add(RF_PROTO_ICMPV6 + nd.left, source, 32) + rf_sum_of(nd);
  if (!is_whole || ip.p[7] != RF_ND_HOP_LIMIT || nd.p[1] != 0 || target[0] == 0xff || (is_probe && mac) || rf_checksum_fold(sum) != 0xffff) return rf_drop(RF_COUNT_drop_malformed_nd, 0);
  if (rf_mac_equal(eth->src, front_mac)) return rf_drop(RF_COUNT_drop_looped, 0);

  const struct rf_vip *vip = rf_tables_vip(tables, RF_ETHERTYPE_IPV6, about);
  const struct rf_vip *claimed = is_question ? (is_probe ? vip : rf_tables_vip(tables, RF_ETHERTYPE_IPV6, from)) : vip;
  if (is_probe && vip) {
    if (rf_mac_same_layer(eth->src, front_mac)) return rf_claimed(vip, eth->src, front_mac, RF_COUNT_nd_peer_claim, RF_COUNT_nd_conflict);
  } else if (claimed) {
    return rf_claimed(claimed, mac ? mac : eth->src, front_mac, RF_COUNT_nd_peer_claim, RF_COUNT_nd_conflict);
  }
  if (!is_question || !vip) return rf_mac_equal(eth->dst, front_mac) ? rf_pass(0) : rf_leave();
  const int cause = rf_may_answer(vip, tables, now_ns, RF_COUNT_nd_not_owner, RF_COUNT_nd_lease_void, RF_COUNT_nd_held_back);
  if (cause) return rf_drop(cause, 0);
  rf_nd_answer(reply, eth, front_mac, target, is_probe ? 0 : source);
  return rf_replied(is_probe ? RF_COUNT_nd_defended : RF_COUNT_nd_answered);
}

#endif
