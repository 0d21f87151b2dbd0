/* What the types of ICMP (RFC 792, 950) and ICMPv6 (RFC 4443, 4861) mean for steering. */
#ifndef RAINFRONT_STEER_ICMP_H
#define RAINFRONT_STEER_ICMP_H

#include "ip.h"

#define RF_ICMP_HEADER_LEN 8u
#define RF_ND_SOLICITATION 135u
#define RF_ND_ADVERTISEMENT 136u

RF_INLINE int rf_is_icmp(const struct rf_packet *packet) {
  return packet->family == RF_ETHERTYPE_IPV4 ? packet->protocol == RF_PROTO_ICMP : packet->protocol == RF_PROTO_ICMPV6;
}

/* Errors quote the packet that they are about. Of ICMPv6 these are all types below 128, known or not. */
RF_INLINE int rf_icmp_is_error(uint16_t family, uint8_t type) {
  if (family == RF_ETHERTYPE_IPV6) return type < 128;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

/* Queries whose bytes 4 and 5 are an identifier that the answer repeats. */
RF_INLINE int rf_icmp_has_id(uint16_t family, uint8_t type) {
  if (family == RF_ETHERTYPE_IPV6) return type == 128 || type == 129;
  return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

/* Between neighbours, and never routed: router and neighbour discovery, redirects (133 to 137), multicast listeners (130 to 132, 143). */
RF_INLINE int rf_icmpv6_is_local(uint8_t type) { return (type >= 130 && type <= 137) || type == 143; }

#endif
