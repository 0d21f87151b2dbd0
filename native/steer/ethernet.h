/* The Ethernet header (IEEE 802.3) and up to two VLAN tags (802.1Q, 802.1ad) before the packet. Tags do not decide who handles a flow, for it
   may have another on the other segment, and stay as they are wherever the frame goes. */
#ifndef RAINFRONT_STEER_ETHERNET_H
#define RAINFRONT_STEER_ETHERNET_H

#include "bytes.h"
#include "counters.h"

#define RF_MAC_LEN 6u
#define RF_ETH_HEADER_LEN 14u
#define RF_VLAN_TAG_LEN 4u
#define RF_VLAN_TAGS_MAX 2
#define RF_ETHERTYPE_IPV4 0x0800u
#define RF_ETHERTYPE_ARP 0x0806u
#define RF_ETHERTYPE_VLAN 0x8100u
#define RF_ETHERTYPE_SERVICE_VLAN 0x88a8u
#define RF_ETHERTYPE_IPV6 0x86ddu

struct rf_ethernet {
  const uint8_t *dst;
  const uint8_t *src;
  struct rf_bytes payload;
  uint32_t header_len; /* tags included */
  uint16_t ethertype;  /* behind the tags */
};

RF_INLINE int rf_is_vlan(uint16_t ethertype) { return ethertype == RF_ETHERTYPE_VLAN || ethertype == RF_ETHERTYPE_SERVICE_VLAN; }

/* Returns 0, or the counter under which the frame must be dropped. */
RF_INLINE int rf_parse_ethernet(struct rf_bytes frame, struct rf_ethernet *out) {
  if (!rf_has(&frame, RF_ETH_HEADER_LEN)) return RF_COUNT_drop_runt;
  out->dst = frame.p;
  out->src = frame.p + RF_MAC_LEN;
  out->header_len = RF_ETH_HEADER_LEN;
  out->ethertype = rf_load16(frame.p + 2 * RF_MAC_LEN);
  rf_skip(&frame, RF_ETH_HEADER_LEN);
  for (int tag = 0; tag < RF_VLAN_TAGS_MAX; tag++) {
    if (!rf_is_vlan(out->ethertype)) break;
    if (!rf_has(&frame, RF_VLAN_TAG_LEN)) return RF_COUNT_drop_runt;
    out->ethertype = rf_load16(frame.p + 2);
    out->header_len += RF_VLAN_TAG_LEN;
    rf_skip(&frame, RF_VLAN_TAG_LEN);
  }
  out->payload = frame;
  return 0;
}

#endif
