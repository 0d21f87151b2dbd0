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
#define RF_ND_ROOM 128u      /* the next power of two: a mask is a bound that the verifier understands */
#define RF_ND_ANSWER_LEN 32u /* with the link-layer address */
#define RF_ND_HOP_LIMIT 255u /* what no router has forwarded */
/* Router, solicited, override: an owner is a gateway, and its answer is newer than any other. */
#define RF_ND_ANSWER_FLAGS 0xe0u
#define RF_ND_DEFENCE_FLAGS 0xa0u

/* What the answers of ARP and ND have in common: whether this node may give one for `vip`. 0, or why not (`causes`, in this order: another's,
   lease void, not before its time). */
RF_INLINE int rf_may_answer(const struct rf_vip *vip, const struct rf_tables *tables, uint64_t now_ns, int not_owner, int lease_void, int held_back) {
  if (!vip->owned) return not_owner;
  const uint64_t exact_ns = rf_tables_exact_ns(tables, now_ns);
  if (exact_ns >= rf_tables_lease_until_ns(tables)) return lease_void;
  if (exact_ns < vip->from_ns) return held_back;
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
  if (rf_mac_same_node(eth->src, front_mac)) return rf_drop(RF_COUNT_drop_looped, 0);
  const uint64_t sender[2] = {0, rf_load32(p + 14)};
  const uint64_t target[2] = {0, rf_load32(p + 24)};
  struct rf_vip vip = {0, 0};
  if (rf_tables_vip(tables, RF_ETHERTYPE_IPV4, sender, &vip)) return rf_claimed(&vip, sender_mac, front_mac, RF_COUNT_arp_peer_claim, RF_COUNT_arp_conflict);
  if (operation == RF_ARP_REPLY) return rf_mac_equal(eth->dst, front_mac) ? rf_pass(0) : rf_leave();
  if (!rf_tables_vip(tables, RF_ETHERTYPE_IPV4, target, &vip)) return rf_leave();
  const int cause = rf_may_answer(&vip, tables, now_ns, RF_COUNT_arp_not_owner, RF_COUNT_arp_lease_void, RF_COUNT_arp_held_back);
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

/* A neighbour message as the guard needs it. */
struct rf_nd_message {
  uint8_t addresses[32];        /* of the packet: source, destination */
  uint8_t bytes[RF_ND_ROOM]; /* zeros behind the message */
  uint8_t mac[RF_MAC_LEN];      /* the link-layer address that it gives, if `has_mac` */
  uint8_t has_mac;
  uint8_t unused;
};

/* The options: whole, and none of no length (RFC 4861, 7.1.1). */
RF_INLINE int rf_nd_options(struct rf_nd_message *m, uint32_t len) {
  const uint8_t kind = m->bytes[0] == RF_ND_SOLICITATION ? 1 : 2;
  uint32_t at = RF_ND_LEN;
  m->has_mac = 0;
  for (unsigned i = 0; i < (RF_ND_LEN_MAX - RF_ND_LEN) / 8; i++) {
    if (at >= len) break;
    RF_OPAQUE(at);
    const uint8_t *option = m->bytes + (at & (RF_ND_ROOM - 8)); /* all are of units of 8 bytes, so the mask changes nothing */
    const uint32_t size = (uint32_t)option[1] * 8u;
    if (size == 0 || size > len - at) return 0;
    if (option[0] == kind) {
      for (unsigned j = 0; j < RF_MAC_LEN; j++) m->mac[j] = option[2 + j];
      m->has_mac = 1;
    }
    at += size;
  }
  return at == len;
}

/* The message of `len` bytes behind the IPv6 header at `at`. Returns 0 when it is there and right as far as it goes. */
RF_APART int rf_nd_read(rf_frame *frame, uint32_t at, uint32_t len, struct rf_nd_message *m) {
  if (!m || at > RF_FRAME_LEN_MAX) return -1;
  if (len > RF_ND_LEN_MAX) return -1;
  for (unsigned i = 0; i < RF_ND_ROOM; i++) m->bytes[i] = 0;
  RF_OPAQUE(len);
  len &= RF_ND_ROOM - 1;
  if (len < RF_ND_LEN) return -1;
  if (rf_peek(frame, at + 8, m->addresses, sizeof m->addresses) || rf_peek(frame, at + RF_IPV6_HEADER_LEN, m->bytes, len)) return -1;
  uint64_t sum = rf_checksum_add(RF_PROTO_ICMPV6 + len, m->addresses, sizeof m->addresses);
  sum = rf_checksum_add(sum, m->bytes, RF_ND_LEN_MAX);
  return rf_checksum_fold(sum) == 0xffff && rf_nd_options(m, len) ? 0 : -1;
}

/* A neighbour solicitation or advertisement. Nobody sends them behind extension headers, but to get past a guard. */
RF_INLINE struct rf_verdict rf_nd(rf_frame *frame, const struct rf_ethernet *eth, const uint8_t *front_mac, const struct rf_tables *tables, uint64_t now_ns,
                                  struct rf_nd_message *m, struct rf_reply *reply) {
  const struct rf_bytes ip = eth->payload;
  if (!rf_has(&ip, RF_IPV6_HEADER_LEN) || ip.p[6] != RF_PROTO_ICMPV6 || ip.p[7] != RF_ND_HOP_LIMIT) return rf_drop(RF_COUNT_drop_malformed_nd, 0);
  if (rf_nd_read(frame, rf_at(&ip), rf_load16(ip.p + 4), m)) return rf_drop(RF_COUNT_drop_malformed_nd, 0);
  const int is_question = m->bytes[0] == RF_ND_SOLICITATION;
  const uint8_t *source = m->addresses;
  const uint8_t *target = m->bytes + 8;
  const uint64_t from[2] = {rf_load64(source), rf_load64(source + 8)};
  const uint64_t about[2] = {rf_load64(target), rf_load64(target + 8)};
  const int is_probe = is_question && (from[0] | from[1]) == 0; /* duplicate address detection */
  const int is_of_group = source[0] == 0xff || (eth->src[0] & 1); /* an answer would go to all of it */
  if (m->bytes[1] != 0 || target[0] == 0xff || is_of_group || (is_probe && m->has_mac)) return rf_drop(RF_COUNT_drop_malformed_nd, 0);
  if (rf_mac_same_node(eth->src, front_mac)) return rf_drop(RF_COUNT_drop_looped, 0);

  struct rf_vip vip = {0, 0};
  struct rf_vip shown = {0, 0};
  const int is_vip = rf_tables_vip(tables, RF_ETHERTYPE_IPV6, about, &vip);
  const uint8_t *claimant = m->has_mac ? m->mac : eth->src;
  if (is_question && !is_probe) {
    if (rf_tables_vip(tables, RF_ETHERTYPE_IPV6, from, &shown)) return rf_claimed(&shown, claimant, front_mac, RF_COUNT_nd_peer_claim, RF_COUNT_nd_conflict);
  } else if (is_vip && (!is_probe || rf_mac_same_layer(eth->src, front_mac))) {
    return rf_claimed(&vip, claimant, front_mac, RF_COUNT_nd_peer_claim, RF_COUNT_nd_conflict);
  }
  if (!is_question || !is_vip) return rf_mac_equal(eth->dst, front_mac) ? rf_pass(0) : rf_leave();
  const int cause = rf_may_answer(&vip, tables, now_ns, RF_COUNT_nd_not_owner, RF_COUNT_nd_lease_void, RF_COUNT_nd_held_back);
  if (cause) return rf_drop(cause, 0);
  rf_nd_answer(reply, eth, front_mac, target, is_probe ? 0 : source);
  return rf_replied(is_probe ? RF_COUNT_nd_defended : RF_COUNT_nd_answered);
}

#endif
