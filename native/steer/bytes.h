/* A part of a frame that is still to be read, with its bounds. Every read asks rf_has first. Used by all parsers. */
#ifndef RAINFRONT_STEER_BYTES_H
#define RAINFRONT_STEER_BYTES_H

#include "types.h"

/* `left` bytes at `p` belong to what is parsed: less than up to `end`, the frame's, where a frame is padded. */
struct rf_bytes {
  const uint8_t *p;
  const uint8_t *start; /* of the frame */
  const uint8_t *end;
  uint32_t left;
};

/* No port takes longer frames. */
#define RF_FRAME_LEN_MAX 0x3fffu

RF_INLINE struct rf_bytes rf_bytes_of(const uint8_t *p, uint32_t len) {
  struct rf_bytes b = {p, p, p + len, len};
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

RF_INLINE uint32_t rf_at(const struct rf_bytes *b) { return (uint32_t)(b->p - b->start); }

/* The same bytes by their place in the frame, for code that the verifier looks at apart, where it knows nothing of pointers into the frame.
   rf_peek copies `len` bytes from `at`; it returns 0 when they are there. */
#ifdef __bpf__
typedef struct xdp_md rf_frame;
RF_INLINE int rf_peek(rf_frame *frame, uint32_t at, uint8_t *to, uint32_t len) { return (int)bpf_xdp_load_bytes(frame, at, to, len); }
#else
typedef const struct rf_bytes rf_frame; /* the whole frame */
RF_INLINE int rf_peek(rf_frame *frame, uint32_t at, uint8_t *to, uint32_t len) {
  if (at > frame->left || frame->left - at < len) return -1;
  for (uint32_t i = 0; i < len; i++) to[i] = frame->p[at + i];
  return 0;
}
#endif

#endif
