/* Internet checksum (RFC 1071), and the completion of transport checksums that a virtual NIC's offload left open. */
#ifndef RAINFRONT_STEER_CHECKSUM_H
#define RAINFRONT_STEER_CHECKSUM_H

#include "parse.h"
#include "types.h"

/* Folds until no carry is left: folding once is wrong for some sums. */
RF_INLINE uint16_t rf_checksum_fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

RF_INLINE uint64_t rf_checksum_add(uint64_t sum, const uint8_t *p, uint32_t len) {
  uint32_t i = 0;
  for (; i + 1 < len; i += 2) sum += rf_load16(p + i);
  if (i < len) sum += (uint32_t)p[i] << 8;
  return sum;
}

/* Writes the TCP or UDP checksum of a whole IPv4 packet. Returns 1 when it did, 0 when the packet has none to write (other protocol,
   fragment, cut off). */
RF_INLINE int rf_checksum_complete_ipv4(uint8_t *packet, uint32_t len) {
  struct rf_ipv4 ip;
  if (rf_parse_ipv4(packet, len, 1, &ip) || ip.is_fragment) return 0;
  uint32_t at = ip.protocol == RF_PROTO_TCP ? 16u : 6u;
  if (ip.protocol == RF_PROTO_TCP ? ip.l4_len < RF_TCP_MIN_HEADER_LEN : ip.protocol != RF_PROTO_UDP || ip.l4_len < RF_UDP_HEADER_LEN) return 0;
  uint8_t *field = packet + (uint32_t)(ip.l4 - packet) + at;
  rf_store16(field, 0);
  uint64_t sum = rf_checksum_add(0, ip.header + 12, 8); /* pseudo header: addresses, protocol, length */
  sum += ip.protocol + ip.l4_len;
  sum = rf_checksum_add(sum, ip.l4, ip.l4_len);
  uint16_t checksum = (uint16_t)~rf_checksum_fold(sum);
  if (checksum == 0 && ip.protocol == RF_PROTO_UDP) checksum = 0xffff; /* RFC 768: 0 would mean "none" */
  rf_store16(field, checksum);
  return 1;
}

#endif
