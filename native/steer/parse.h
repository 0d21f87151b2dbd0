/* From a frame's bytes to its flow key, with every bound checked before the byte behind it is read. Called by steer.h. */
#ifndef RAINFRONT_STEER_PARSE_H
#define RAINFRONT_STEER_PARSE_H

#include "counters.h"
#include "flow_key.h"
#include "types.h"

#define RF_PROTO_ICMP 1u
#define RF_PROTO_TCP 6u
#define RF_PROTO_UDP 17u
#define RF_IPV4_MIN_HEADER_LEN 20u
#define RF_TCP_MIN_HEADER_LEN 20u
#define RF_UDP_HEADER_LEN 8u
#define RF_ICMP_HEADER_LEN 8u

/* Parsers return 0, or the counter (a drop_ cause, never 0: counter 0 is rx_frames) under which the packet must be dropped. */

struct rf_ipv4 {
  const uint8_t *header;
  const uint8_t *l4;
  uint32_t l4_len; /* bytes of the IP payload that are really there */
  uint8_t protocol;
  uint8_t is_fragment; /* any fragment, the first included */
};

/* An IPv4 header (RFC 791) at p with `avail` bytes behind it. `whole` = the packet must be there completely; ICMP errors quote a part. */
RF_INLINE int rf_parse_ipv4(const uint8_t *p, uint32_t avail, int whole, struct rf_ipv4 *out) {
  if (avail < RF_IPV4_MIN_HEADER_LEN) return RF_COUNT_drop_malformed_ip;
  uint32_t header_len = (uint32_t)(p[0] & 0x0f) * 4u;
  uint32_t total_len = rf_load16(p + 2);
  if ((p[0] >> 4) != 4 || header_len < RF_IPV4_MIN_HEADER_LEN) return RF_COUNT_drop_malformed_ip;
  if (total_len < header_len || header_len > avail) return RF_COUNT_drop_malformed_ip;
  if (whole && total_len > avail) return RF_COUNT_drop_malformed_ip;
  uint32_t present = total_len < avail ? total_len : avail; /* Ethernet pads short frames */
  uint16_t fragment = rf_load16(p + 6);
  out->header = p;
  out->l4 = p + header_len;
  out->l4_len = present - header_len;
  out->protocol = p[9];
  out->is_fragment = (fragment & 0x3fff) != 0; /* MF or an offset */
  return 0;
}

RF_INLINE int rf_icmp_is_error(uint8_t type) { return type == 3 || type == 4 || type == 5 || type == 11 || type == 12; }

/* Queries whose bytes 4 and 5 are an identifier that the answer repeats (RFC 792). */
RF_INLINE int rf_icmp_has_id(uint8_t type) { return type == 0 || type == 8 || (type >= 13 && type <= 18); }

/* Key of an IPv4 packet that is not an ICMP error. `quoted` = inside an ICMP error, of which only 8 bytes of the transport header are sure
   to be there (RFC 792). Fragments are keyed by addresses and protocol alone, all of a datagram alike, for later ones carry no ports. */
RF_INLINE int rf_ipv4_key(const struct rf_ipv4 *ip, int quoted, struct rf_flow_key *key) {
  uint16_t sport = 0;
  uint16_t dport = 0;
  if (!ip->is_fragment) {
    if (ip->protocol == RF_PROTO_TCP || ip->protocol == RF_PROTO_UDP) {
      uint32_t need = ip->protocol == RF_PROTO_TCP && !quoted ? RF_TCP_MIN_HEADER_LEN : RF_UDP_HEADER_LEN;
      if (ip->l4_len < need) return RF_COUNT_drop_malformed_l4;
      sport = rf_load16(ip->l4);
      dport = rf_load16(ip->l4 + 2);
    } else if (ip->protocol == RF_PROTO_ICMP) {
      if (ip->l4_len < RF_ICMP_HEADER_LEN) return RF_COUNT_drop_malformed_l4;
      if (rf_icmp_has_id(ip->l4[0])) sport = dport = rf_load16(ip->l4 + 4);
    }
  }
  rf_flow_key_set_ipv4(key, ip->protocol, rf_load32(ip->header + 12), rf_load32(ip->header + 16), sport, dport);
  return 0;
}

/* Key of the IPv4 packet of `len` bytes at p. An ICMP error belongs to the flow of the packet that it quotes. */
RF_INLINE int rf_parse_flow_ipv4(const uint8_t *p, uint32_t len, struct rf_flow_key *key) {
  struct rf_ipv4 ip;
  int fault = rf_parse_ipv4(p, len, 1, &ip);
  if (fault) return fault;
  if (ip.protocol == RF_PROTO_ICMP && !ip.is_fragment && ip.l4_len >= RF_ICMP_HEADER_LEN && rf_icmp_is_error(ip.l4[0])) {
    struct rf_ipv4 quoted;
    if (rf_parse_ipv4(ip.l4 + RF_ICMP_HEADER_LEN, ip.l4_len - RF_ICMP_HEADER_LEN, 0, &quoted)) return RF_COUNT_drop_malformed_l4;
    return rf_ipv4_key(&quoted, 1, key);
  }
  return rf_ipv4_key(&ip, 0, key);
}

#endif
