/* SipHash-1-3 (Aumasson and Bernstein, 2012) over whole 64-bit words: the keyed hash that names a flow's slot. Keyed with the
   cluster's secret so that nobody outside can aim flows at one node. */
#ifndef RAINFRONT_STEER_SIPHASH_H
#define RAINFRONT_STEER_SIPHASH_H

#include "types.h"

struct rf_hash_key {
  uint64_t k0;
  uint64_t k1;
};

RF_INLINE uint64_t rf_rotl64(uint64_t x, unsigned b) { return (x << b) | (x >> (64 - b)); }

#define RF_SIP_ROUND(v0, v1, v2, v3) \
  do {                               \
    v0 += v1;                        \
    v1 = rf_rotl64(v1, 13);          \
    v1 ^= v0;                        \
    v0 = rf_rotl64(v0, 32);          \
    v2 += v3;                        \
    v3 = rf_rotl64(v3, 16);          \
    v3 ^= v2;                        \
    v0 += v3;                        \
    v3 = rf_rotl64(v3, 21);          \
    v3 ^= v0;                        \
    v2 += v1;                        \
    v1 = rf_rotl64(v1, 17);          \
    v1 ^= v2;                        \
    v2 = rf_rotl64(v2, 32);          \
  } while (0)

/* Hash of `count` 64-bit words (a message of 8 * count bytes, words in little-endian order). */
RF_INLINE uint64_t rf_siphash13(const uint64_t *words, unsigned count, const struct rf_hash_key *key) {
  uint64_t v0 = 0x736f6d6570736575ull ^ key->k0;
  uint64_t v1 = 0x646f72616e646f6dull ^ key->k1;
  uint64_t v2 = 0x6c7967656e657261ull ^ key->k0;
  uint64_t v3 = 0x7465646279746573ull ^ key->k1;
  for (unsigned i = 0; i < count; i++) {
    v3 ^= words[i];
    RF_SIP_ROUND(v0, v1, v2, v3);
    v0 ^= words[i];
  }
  uint64_t length = (uint64_t)(count * 8u) << 56;
  v3 ^= length;
  RF_SIP_ROUND(v0, v1, v2, v3);
  v0 ^= length;
  v2 ^= 0xff;
  RF_SIP_ROUND(v0, v1, v2, v3);
  RF_SIP_ROUND(v0, v1, v2, v3);
  RF_SIP_ROUND(v0, v1, v2, v3);
  return v0 ^ v1 ^ v2 ^ v3;
}

#endif
