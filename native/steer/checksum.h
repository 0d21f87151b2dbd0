/* Internet checksum (RFC 1071). */
#ifndef RAINFRONT_STEER_CHECKSUM_H
#define RAINFRONT_STEER_CHECKSUM_H

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

/* An address as in rf_packet. */
RF_INLINE uint64_t rf_checksum_add_address(uint64_t sum, const uint64_t address[2]) {
  for (unsigned i = 0; i < 2; i++) sum += (address[i] >> 48) + ((address[i] >> 32) & 0xffff) + ((address[i] >> 16) & 0xffff) + (address[i] & 0xffff);
  return sum;
}

#endif
