/* Ports under which the layer's firewalls translate connections, in equal parts, one for each node: so the answers name the node that handles them, and it is their authority as
   long as it serves, also while it drains. Pure; docs/packet-path.md, rule 33. */
#ifndef RAINFRONT_STEER_PORT_RANGES_H
#define RAINFRONT_STEER_PORT_RANGES_H

#include "flow_key.h"

#define RF_PORT_RANGES_MAX 16u
#define RF_PORT_PARTS_MAX 256u

/* Of one address, as in rf_flow_key: `size` ports from `first` on are the first part, and so on. */
struct rf_port_range {
  uint64_t address[2];
  uint16_t family;
  uint16_t first;
  uint16_t size; /* above 0 */
  uint16_t unused;
};

struct rf_port_ranges {
  uint32_t count;
  uint32_t parts; /* the same of each */
  struct rf_port_range ranges[RF_PORT_RANGES_MAX];
  uint16_t owners[RF_PORT_PARTS_MAX]; /* by part; 0: does not serve now */
};

/* RF_PORT_PARTS_MAX or more: it is in none. */
RF_INLINE uint32_t rf_port_part(const struct rf_port_range *range, const uint64_t address[2], uint32_t port) {
  if (address[0] != range->address[0] || address[1] != range->address[1] || port < range->first) return RF_PORT_PARTS_MAX;
  return (port - range->first) / range->size;
}

/* Whose part one of the flow's ends is in: by the first range that has one, there by the lower end first. 0: in nobody's. */
RF_INLINE uint16_t rf_port_owner(const struct rf_port_ranges *of, const struct rf_flow_key *key) {
  if (of->count == 0 || (key->protocol != RF_PROTO_TCP && key->protocol != RF_PROTO_UDP)) return 0;
  for (uint32_t i = 0; i < RF_PORT_RANGES_MAX && i < of->count; i++) {
    const struct rf_port_range *range = &of->ranges[i];
    if (range->family != key->family) continue;
    const uint32_t low = rf_port_part(range, key->addr_low, key->ports >> 16);
    uint32_t part = low < of->parts ? low : rf_port_part(range, key->addr_high, key->ports & 0xffff);
    if (part >= of->parts) continue;
    RF_OPAQUE(part);
    return part < RF_PORT_PARTS_MAX ? of->owners[part] : 0; /* the verifier does not know that it is */
  }
  return 0;
}

#endif
