/* The completion of transport checksums that a virtual NIC's offload left open. Used where frames are taken from such a NIC. */
#ifndef RAINFRONT_STEER_OFFLOAD_H
#define RAINFRONT_STEER_OFFLOAD_H

#include "checksum.h"
#include "flow.h"

/* Writes the TCP or UDP checksum of a whole IP packet. Returns 1 when it did, 0 when the packet has none to write (other protocol, fragment,
   cut off). */
RF_INLINE int rf_complete_checksum(uint16_t family, uint8_t *packet, uint32_t len) {
  struct rf_packet ip;
  const struct rf_bytes whole = rf_bytes_of(packet, len);
  if (rf_parse_ip(family, &whole, whole, 1, &ip) || ip.fragment != RF_FRAGMENT_NONE) return 0;
  if (ip.protocol != RF_PROTO_TCP && ip.protocol != RF_PROTO_UDP) return 0;
  if (ip.l4.left < rf_l4_header_len(&ip, 0)) return 0;
  uint8_t *field = packet + (uint32_t)(ip.l4.p - packet) + (ip.protocol == RF_PROTO_TCP ? 16u : 6u);
  rf_store16(field, 0);
  uint64_t sum = (uint64_t)ip.protocol + ip.l4.left; /* pseudo header: addresses, protocol, length */
  sum = rf_checksum_add_address(rf_checksum_add_address(sum, ip.src), ip.dst);
  sum = rf_checksum_add(sum, ip.l4.p, ip.l4.left);
  uint16_t checksum = (uint16_t)~rf_checksum_fold(sum);
  if (checksum == 0 && ip.protocol == RF_PROTO_UDP) checksum = 0xffff; /* RFC 768: 0 would mean "none" */
  rf_store16(field, checksum);
  return 1;
}

#endif
