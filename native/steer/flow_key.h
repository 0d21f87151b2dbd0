/* The name of a flow: the same for both directions, and for ICMP errors about it. Made by flow.h, hashed for the Maglev table. */
#ifndef RAINFRONT_STEER_FLOW_KEY_H
#define RAINFRONT_STEER_FLOW_KEY_H

#include "ip.h"
#include "siphash.h"
#include "types.h"

/* The two ends in ascending order (address, then port), so that direction does not show. IPv4 addresses sit in word [1] of `addr`, IPv6
   addresses fill both. `ports` holds the lower end's port in the upper half; ICMP echo uses its identifier for both ends; protocols
   without ports use 0. No padding: the struct is hashed as 5 words. */
struct rf_flow_key {
  uint64_t addr_low[2];
  uint64_t addr_high[2];
  uint32_t ports;
  uint16_t family; /* ethertype */
  uint16_t protocol;
};

/* Whether the packet's source is the lower end. */
RF_INLINE int rf_flow_key_set(struct rf_flow_key *key, const struct rf_packet *packet, uint16_t sport, uint16_t dport) {
  const uint64_t *src = packet->src;
  const uint64_t *dst = packet->dst;
  int src_is_low = src[0] != dst[0] ? src[0] < dst[0] : src[1] != dst[1] ? src[1] < dst[1] : sport <= dport;
  key->addr_low[0] = src_is_low ? src[0] : dst[0];
  key->addr_low[1] = src_is_low ? src[1] : dst[1];
  key->addr_high[0] = src_is_low ? dst[0] : src[0];
  key->addr_high[1] = src_is_low ? dst[1] : src[1];
  key->ports = src_is_low ? ((uint32_t)sport << 16 | dport) : ((uint32_t)dport << 16 | sport);
  key->family = packet->family;
  key->protocol = packet->protocol;
  return src_is_low;
}

RF_INLINE uint64_t rf_flow_hash(const struct rf_flow_key *key, const struct rf_hash_key *secret) {
  uint64_t words[5];
  words[0] = key->addr_low[0];
  words[1] = key->addr_low[1];
  words[2] = key->addr_high[0];
  words[3] = key->addr_high[1];
  words[4] = ((uint64_t)key->ports << 32) | ((uint64_t)key->family << 16) | key->protocol;
  return rf_siphash13(words, 5, secret);
}

#endif
