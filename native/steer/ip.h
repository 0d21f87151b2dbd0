/* IPv4 (RFC 791) and IPv6 (RFC 8200) headers, down to the transport header, with every bound checked before the byte behind it is read.
   Called by flow.h. */
#ifndef RAINFRONT_STEER_IP_H
#define RAINFRONT_STEER_IP_H

#include "bytes.h"
#include "counters.h"
#include "ethernet.h"

#define RF_PROTO_HOP_BY_HOP 0u
#define RF_PROTO_ICMP 1u
#define RF_PROTO_TCP 6u
#define RF_PROTO_UDP 17u
#define RF_PROTO_ROUTING 43u
#define RF_PROTO_FRAGMENT 44u
#define RF_PROTO_AUTHENTICATION 51u
#define RF_PROTO_ICMPV6 58u
#define RF_PROTO_DESTINATION_OPTIONS 60u
#define RF_PROTO_SCTP 132u
#define RF_PROTO_MOBILITY 135u
#define RF_PROTO_HIP 139u
#define RF_PROTO_SHIM6 140u

#define RF_IPV4_MIN_HEADER_LEN 20u
#define RF_IPV6_HEADER_LEN 40u
#define RF_IPV6_EXTENSION_LEN 8u /* the least that each of them has */
/* More extension headers than any stack sends; a chain without end would be a way to keep a core busy. */
#define RF_IPV6_EXTENSIONS_MAX 8

enum rf_fragment_kind {
  RF_FRAGMENT_NONE,  /* a whole packet; IPv6's atomic fragments (RFC 6946) as well */
  RF_FRAGMENT_FIRST, /* the one with the transport header */
  RF_FRAGMENT_LATER,
};

/* One IP packet. Addresses as in rf_flow_key: IPv4 in word [1], IPv6 in both. */
struct rf_packet {
  uint64_t src[2];
  uint64_t dst[2];
  struct rf_bytes l4; /* the IP payload that is really there, behind extension headers */
  uint32_t fragment_id;
  uint16_t family; /* ethertype */
  uint8_t protocol;
  uint8_t fragment; /* enum rf_fragment_kind */
};

/* `whole`: the packet must be there completely; ICMP errors quote a part. Returns 0, or the counter under which it must be dropped. */
RF_INLINE int rf_parse_ipv4(struct rf_bytes b, int whole, struct rf_packet *out) {
  if (!rf_has(&b, RF_IPV4_MIN_HEADER_LEN)) return RF_COUNT_drop_malformed_ip;
  const uint8_t *p = b.p;
  uint32_t header_len = (uint32_t)(p[0] & 0x0f) * 4u;
  uint32_t total_len = rf_load16(p + 2);
  uint16_t fragment = rf_load16(p + 6);
  if ((p[0] >> 4) != 4 || header_len < RF_IPV4_MIN_HEADER_LEN || total_len < header_len) return RF_COUNT_drop_malformed_ip;
  if (!rf_has(&b, header_len)) return RF_COUNT_drop_malformed_ip;
  if (total_len > b.left) {
    if (whole) return RF_COUNT_drop_malformed_ip;
  } else {
    b.left = total_len; /* Ethernet pads short frames */
  }
  out->family = RF_ETHERTYPE_IPV4;
  out->protocol = p[9];
  out->src[0] = out->dst[0] = 0;
  out->src[1] = rf_load32(p + 12);
  out->dst[1] = rf_load32(p + 16);
  out->fragment_id = rf_load16(p + 4);
  out->fragment = (fragment & 0x1fff) ? RF_FRAGMENT_LATER : (fragment & 0x2000) ? RF_FRAGMENT_FIRST : RF_FRAGMENT_NONE;
  rf_skip(&b, header_len);
  out->l4 = b;
  return 0;
}

/* Extension headers that say how long they are, so that what is behind them can be found (RFC 6564, RFC 4302). */
RF_INLINE int rf_ipv6_is_skipped(uint8_t protocol) {
  return protocol == RF_PROTO_HOP_BY_HOP || protocol == RF_PROTO_ROUTING || protocol == RF_PROTO_DESTINATION_OPTIONS ||
         protocol == RF_PROTO_AUTHENTICATION || protocol == RF_PROTO_MOBILITY || protocol == RF_PROTO_HIP || protocol == RF_PROTO_SHIM6;
}

/* Where the walk along the extension headers is. */
struct rf_walk {
  uint32_t at; /* in the frame */
  uint32_t left;
  uint32_t fragment_id;
  uint8_t protocol;
  uint8_t fragment;
  uint8_t unused[2];
};

RF_INLINE int rf_ipv6_is_extension(uint8_t protocol) { return protocol == RF_PROTO_FRAGMENT || rf_ipv6_is_skipped(protocol); }

/* Goes behind the extension headers. Returns 0, or the counter. */
RF_APART int rf_ipv6_walk(rf_frame *frame, struct rf_walk *walk) {
  if (!walk) return RF_COUNT_drop_malformed_ip;
  uint32_t at = walk->at;
  uint32_t left = walk->left;
  uint8_t protocol = walk->protocol;
  for (int i = 0; i < RF_IPV6_EXTENSIONS_MAX; i++) {
    if (!rf_ipv6_is_extension(protocol)) break;
    uint8_t head[RF_IPV6_EXTENSION_LEN] __attribute__((aligned(8)));
    if (left < RF_IPV6_EXTENSION_LEN || at > RF_FRAME_LEN_MAX || rf_peek(frame, at, head, RF_IPV6_EXTENSION_LEN)) return RF_COUNT_drop_malformed_ip;
    uint32_t len = RF_IPV6_EXTENSION_LEN;
    if (protocol == RF_PROTO_FRAGMENT) {
      const uint16_t place = rf_load16(head + 2);
      walk->fragment_id = rf_load32(head + 4);
      walk->fragment = (place & 0xfff8) ? RF_FRAGMENT_LATER : (place & 1) ? RF_FRAGMENT_FIRST : RF_FRAGMENT_NONE;
    } else if (protocol == RF_PROTO_AUTHENTICATION) {
      len = ((uint32_t)head[1] + 2u) * 4u;
    } else {
      len = ((uint32_t)head[1] + 1u) * 8u;
    }
    if (left < len) return RF_COUNT_drop_malformed_ip;
    protocol = head[0];
    at += len;
    left -= len;
    if (walk->fragment == RF_FRAGMENT_LATER) break;
  }
  if (walk->fragment != RF_FRAGMENT_LATER && rf_ipv6_is_extension(protocol)) return RF_COUNT_drop_ipv6_chain;
  walk->at = at;
  walk->left = left;
  walk->protocol = protocol;
  return 0;
}

/* As rf_parse_ipv4. Of a later fragment `protocol` is what its fragment header names, for nothing else is there. */
RF_INLINE int rf_parse_ipv6(rf_frame *frame, struct rf_bytes b, int whole, struct rf_packet *out) {
  if (!rf_has(&b, RF_IPV6_HEADER_LEN)) return RF_COUNT_drop_malformed_ip;
  const uint8_t *p = b.p;
  uint32_t payload_len = rf_load16(p + 4);
  if ((p[0] >> 4) != 6) return RF_COUNT_drop_malformed_ip;
  out->family = RF_ETHERTYPE_IPV6;
  out->protocol = p[6];
  out->src[0] = rf_load64(p + 8);
  out->src[1] = rf_load64(p + 16);
  out->dst[0] = rf_load64(p + 24);
  out->dst[1] = rf_load64(p + 32);
  out->fragment_id = 0;
  out->fragment = RF_FRAGMENT_NONE;
  rf_skip(&b, RF_IPV6_HEADER_LEN);
  if (payload_len > b.left) {
    if (whole) return RF_COUNT_drop_malformed_ip;
  } else {
    b.left = payload_len;
  }
  if (rf_ipv6_is_extension(out->protocol)) {
    struct rf_walk walk = {rf_at(&b), b.left, 0, out->protocol, RF_FRAGMENT_NONE, {0, 0}};
    int fault = rf_ipv6_walk(frame, &walk);
    if (fault) return fault;
    if (walk.at > RF_FRAME_LEN_MAX) return RF_COUNT_drop_malformed_ip;
    b.p = b.start + walk.at;
    b.left = walk.left;
    out->protocol = walk.protocol;
    out->fragment = walk.fragment;
    out->fragment_id = walk.fragment_id;
  }
  out->l4 = b;
  return 0;
}

/* `family`: an ethertype that is one of the two. */
RF_INLINE int rf_parse_ip(uint16_t family, rf_frame *frame, struct rf_bytes b, int whole, struct rf_packet *out) {
  return family == RF_ETHERTYPE_IPV4 ? rf_parse_ipv4(b, whole, out) : rf_parse_ipv6(frame, b, whole, out);
}

#endif
