/* Front MACs. All nodes of a layer have, on one segment, front MACs with the same first four bytes (02 and a hash of cluster and segment); the
   last two are the nodeId. So a MAC names its node, and no table of MACs is needed to relay a frame or to know a peer's.

   As the source of a relay it also says what the relay is, in two bits of its first byte: a node has three MACs under which it sends, and one to which frames are sent. */
#ifndef RAINFRONT_STEER_MAC_H
#define RAINFRONT_STEER_MAC_H

#include "ethernet.h"

enum rf_relay_kind {
  RF_RELAY_ASK,    /* to the flow's authority, which handles it or knows who does */
  RF_RELAY_DIRECT, /* to the node that handles the flow, as the sender remembers it */
  RF_RELAY_FINAL,  /* to the node that handles the flow; this was its second way, and it takes no third */
};

#define RF_MAC_KIND_SHIFT 2
#define RF_MAC_KIND_MASK 0x0cu
#define RF_MAC_LAYER_MASK 0xf3ffffffu

RF_INLINE uint16_t rf_mac_node(const uint8_t *mac) { return rf_load16(mac + 4); }
RF_INLINE int rf_mac_same_layer(const uint8_t *a, const uint8_t *b) { return ((rf_load32(a) ^ rf_load32(b)) & RF_MAC_LAYER_MASK) == 0; }
/* Bits that are of no kind ask: whoever is asked trusts its sender least. */
RF_INLINE enum rf_relay_kind rf_mac_relay_kind(const uint8_t *mac) {
  const unsigned kind = (mac[0] & RF_MAC_KIND_MASK) >> RF_MAC_KIND_SHIFT;
  return kind == RF_RELAY_DIRECT || kind == RF_RELAY_FINAL ? (enum rf_relay_kind)kind : RF_RELAY_ASK;
}
/* One of a node's MACs. */
RF_INLINE int rf_mac_same_node(const uint8_t *a, const uint8_t *b) { return rf_mac_same_layer(a, b) && rf_mac_node(a) == rf_mac_node(b); }
RF_INLINE int rf_mac_equal(const uint8_t *a, const uint8_t *b) { return rf_load32(a) == rf_load32(b) && rf_mac_node(a) == rf_mac_node(b); }
RF_INLINE void rf_mac_copy(uint8_t *to, const uint8_t *from) {
  for (unsigned i = 0; i < RF_MAC_LEN; i++) to[i] = from[i];
}

#endif
