/* From an IP packet to the name of its flow. Called by steer.h. */
#ifndef RAINFRONT_STEER_FLOW_H
#define RAINFRONT_STEER_FLOW_H

#include "flow_key.h"
#include "icmp.h"

#define RF_TCP_MIN_HEADER_LEN 20u
#define RF_UDP_HEADER_LEN 8u
#define RF_SCTP_HEADER_LEN 12u
#define RF_TCP_FLAGS_AT 13u
#define RF_TCP_FIN 0x01u
#define RF_TCP_SYN 0x02u
#define RF_TCP_RST 0x04u
#define RF_TCP_ACK 0x10u
/* Of a quoted packet so much of the transport header is sure to be there (RFC 792). */
#define RF_QUOTED_L4_LEN 8u

#define RF_FRAGMENT_LIFE_NS 30000000000ull /* as long as a receiver waits for the rest (RFC 791, RFC 8200: 60 s is the most): identifications come round again */

/* What all fragments of one datagram have in common (RFC 791, 8200). No padding: the struct is compared and hashed as 5 words. */
struct rf_fragment_key {
  uint64_t src[2];
  uint64_t dst[2];
  uint32_t id;
  uint16_t family;
  uint16_t protocol; /* 0 for IPv6, where the identification alone counts */
};

RF_INLINE int rf_fragment_key_equal(const struct rf_fragment_key *a, const struct rf_fragment_key *b) {
  return a->src[0] == b->src[0] && a->src[1] == b->src[1] && a->dst[0] == b->dst[0] && a->dst[1] == b->dst[1] && a->id == b->id && a->family == b->family &&
         a->protocol == b->protocol;
}

RF_INLINE uint64_t rf_fragment_hash(const struct rf_fragment_key *key, const struct rf_hash_key *secret) {
  uint64_t words[5];
  words[0] = key->src[0];
  words[1] = key->src[1];
  words[2] = key->dst[0];
  words[3] = key->dst[1];
  words[4] = ((uint64_t)key->id << 32) | ((uint64_t)key->family << 16) | key->protocol;
  return rf_siphash13(words, 5, secret);
}

/* Where in its connection's life a packet stands, as far as it says so itself. */
enum rf_phase {
  RF_PHASE_ANY,     /* nothing says that it is not the first one */
  RF_PHASE_OPENING, /* TCP's first packet */
  RF_PHASE_ANSWERING, /* and the answer to it */
  RF_PHASE_AMIDST,  /* of TCP, and none of the other */
  RF_PHASE_CLOSING, /* of TCP, after which there are few more */
};

struct rf_flow {
  struct rf_flow_key key; /* unset of a later fragment, and so are the next three */
  uint8_t is_from_low; /* the source is the key's lower end */
  uint8_t phase;       /* enum rf_phase */
  uint8_t is_error;    /* ICMP's about a packet of the flow */
  struct rf_fragment_key fragment_key;
  uint8_t fragment; /* enum rf_fragment_kind */
  uint8_t is_local;    /* IPv6 between neighbours: not to be steered */
  uint8_t is_neighbor; /* of these, a neighbour solicitation or advertisement */
};

RF_INLINE uint32_t rf_l4_header_len(const struct rf_packet *packet, int quoted) {
  uint32_t len = packet->protocol == RF_PROTO_TCP    ? RF_TCP_MIN_HEADER_LEN
                 : packet->protocol == RF_PROTO_UDP  ? RF_UDP_HEADER_LEN
                 : packet->protocol == RF_PROTO_SCTP ? RF_SCTP_HEADER_LEN
                 : rf_is_icmp(packet)                ? RF_ICMP_HEADER_LEN
                                                     : 0;
  return quoted && len > RF_QUOTED_L4_LEN ? RF_QUOTED_L4_LEN : len;
}

RF_INLINE uint8_t rf_tcp_phase(uint8_t flags) {
  if (flags & (RF_TCP_FIN | RF_TCP_RST)) return RF_PHASE_CLOSING;
  if (!(flags & RF_TCP_SYN)) return RF_PHASE_AMIDST;
  return flags & RF_TCP_ACK ? RF_PHASE_ANSWERING : RF_PHASE_OPENING;
}

/* Key of a packet that has its transport header and is no ICMP error, or is quoted. Returns 0, or the counter. */
RF_INLINE int rf_key_by_ports(const struct rf_packet *packet, int quoted, struct rf_flow *flow) {
  uint16_t sport = 0;
  uint16_t dport = 0;
  const uint32_t header_len = rf_l4_header_len(packet, quoted);
  if (header_len > 0) {
    if (packet->l4.left < header_len || !rf_has(&packet->l4, RF_QUOTED_L4_LEN)) return RF_COUNT_drop_malformed_l4;
    if (!rf_is_icmp(packet)) {
      sport = rf_load16(packet->l4.p);
      dport = rf_load16(packet->l4.p + 2);
    } else if (rf_icmp_has_id(packet->family, packet->l4.p[0])) {
      sport = dport = rf_load16(packet->l4.p + 4);
    }
  }
  flow->is_from_low = (uint8_t)rf_flow_key_set(&flow->key, packet, sport, dport);
  if (!quoted && packet->protocol == RF_PROTO_TCP && rf_has(&packet->l4, RF_TCP_MIN_HEADER_LEN)) flow->phase = rf_tcp_phase(packet->l4.p[RF_TCP_FLAGS_AT]);
  return 0;
}

/* Of a quoted later fragment nobody can say the ports. */
RF_INLINE int rf_key_of_quoted(uint16_t family, rf_frame *frame, struct rf_bytes quoted, struct rf_flow *flow) {
  struct rf_packet packet;
  if (rf_parse_ip(family, frame, quoted, 0, &packet)) return RF_COUNT_drop_malformed_l4;
  flow->is_error = 1;
  if (packet.fragment == RF_FRAGMENT_LATER) {
    flow->is_from_low = (uint8_t)rf_flow_key_set(&flow->key, &packet, 0, 0);
    return 0;
  }
  return rf_key_by_ports(&packet, 1, flow);
}

RF_INLINE void rf_fragment_key_set(struct rf_fragment_key *key, const struct rf_packet *packet) {
  key->src[0] = packet->src[0];
  key->src[1] = packet->src[1];
  key->dst[0] = packet->dst[0];
  key->dst[1] = packet->dst[1];
  key->id = packet->fragment_id;
  key->family = packet->family;
  key->protocol = packet->family == RF_ETHERTYPE_IPV4 ? packet->protocol : 0;
}

/* The flow of the IP packet at `b`. `family` is one of the two ethertypes. Returns 0, or the counter under which it must be dropped. */
RF_INLINE int rf_parse_flow(uint16_t family, rf_frame *frame, struct rf_bytes b, struct rf_flow *out) {
  struct rf_packet packet;
  int fault = rf_parse_ip(family, frame, b, 1, &packet);
  if (fault) return fault;
  out->is_local = out->is_neighbor = out->is_error = 0;
  out->phase = RF_PHASE_ANY;
  out->fragment = packet.fragment;
  if (packet.fragment != RF_FRAGMENT_NONE) rf_fragment_key_set(&out->fragment_key, &packet);
  if (packet.fragment == RF_FRAGMENT_LATER) return 0;
  if (rf_is_icmp(&packet) && rf_has(&packet.l4, RF_ICMP_HEADER_LEN)) {
    const uint8_t type = packet.l4.p[0];
    if (family == RF_ETHERTYPE_IPV6 && rf_icmpv6_is_local(type)) {
      out->is_local = 1;
      out->is_neighbor = type == RF_ND_SOLICITATION || type == RF_ND_ADVERTISEMENT;
      return 0;
    }
    if (rf_icmp_is_error(family, type)) {
      rf_skip(&packet.l4, RF_ICMP_HEADER_LEN);
      return rf_key_of_quoted(family, frame, packet.l4, out);
    }
  }
  return rf_key_by_ports(&packet, 0, out);
}

#endif
