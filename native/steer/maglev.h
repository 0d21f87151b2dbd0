/* Which slot of the Maglev table a flow has (Eisenbud et al., NSDI 2016). Used by both implementations of the tables. */
#ifndef RAINFRONT_STEER_MAGLEV_H
#define RAINFRONT_STEER_MAGLEV_H

#include "types.h"

#define RF_MAGLEV_SLOTS 65537u

/* hash % RF_MAGLEV_SLOTS without a division, which costs more than the rest of a lookup: 2^16 is -1 modulo 2^16 + 1, so the sum of the hash's 16-bit
   digits with alternating signs has the same remainder. */
RF_INLINE uint32_t rf_maglev_slot(uint64_t hash) {
  const uint32_t even = (uint32_t)(hash & 0xffff) + (uint32_t)(hash >> 32 & 0xffff);
  const uint32_t odd = (uint32_t)(hash >> 16 & 0xffff) + (uint32_t)(hash >> 48);
  uint32_t slot = even + 2 * RF_MAGLEV_SLOTS - odd;
  if (slot >= 2 * RF_MAGLEV_SLOTS) slot -= 2 * RF_MAGLEV_SLOTS;
  if (slot >= RF_MAGLEV_SLOTS) slot -= RF_MAGLEV_SLOTS;
  return slot;
}

/* Another number of the same flow, for another table: the slot adds up the digits, which a multiplication scatters. */
RF_INLINE uint64_t rf_choice_hash(uint64_t hash) { return (hash ^ hash >> 29) * 0x9e3779b97f4a7c15ull; }

#endif
