/* A part of a packet that is still to be read, with its bound. Every read asks rf_has first. Used by all parsers. */
#ifndef RAINFRONT_STEER_BYTES_H
#define RAINFRONT_STEER_BYTES_H

#include "types.h"

/* `left` bytes at `p` belong to what is parsed: less than up to `end`, the frame's, where a frame is padded. */
struct rf_bytes {
  const uint8_t *p;
  const uint8_t *end;
  uint32_t left;
};

RF_INLINE struct rf_bytes rf_bytes_of(const uint8_t *p, uint32_t len) {
  struct rf_bytes b = {p, p + len, len};
  return b;
}

/* Whether n bytes are there. The kernel's verifier believes nothing but a comparison with the frame's end. */
RF_INLINE int rf_has(const struct rf_bytes *b, uint32_t n) {
#ifdef __bpf__
  if ((const void *)(b->p + n) > (const void *)b->end) return 0;
#endif
  return b->left >= n;
}

/* Only after rf_has of as many. */
RF_INLINE void rf_skip(struct rf_bytes *b, uint32_t n) {
  b->p += n;
  b->left -= n;
}

#endif
