/* Front MACs. All nodes of a layer have, on one segment, front MACs with the same first four bytes (a hash of cluster and segment); the
   last two are the nodeId. So a MAC names its node, and no table of MACs is needed to relay a frame or to know a peer's. */
#ifndef RAINFRONT_STEER_MAC_H
#define RAINFRONT_STEER_MAC_H

#include "ethernet.h"

RF_INLINE uint16_t rf_mac_node(const uint8_t *mac) { return rf_load16(mac + 4); }
RF_INLINE int rf_mac_same_layer(const uint8_t *a, const uint8_t *b) { return rf_load32(a) == rf_load32(b); }
RF_INLINE int rf_mac_equal(const uint8_t *a, const uint8_t *b) { return rf_mac_same_layer(a, b) && rf_mac_node(a) == rf_mac_node(b); }
RF_INLINE void rf_mac_copy(uint8_t *to, const uint8_t *from) {
  for (unsigned i = 0; i < RF_MAC_LEN; i++) to[i] = from[i];
}

#endif
