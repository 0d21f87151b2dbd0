/* Integer types, inlining and byte access for code that is compiled as C for BPF and as C++ for user space. Included by all of native/steer. */
#ifndef RAINFRONT_STEER_TYPES_H
#define RAINFRONT_STEER_TYPES_H

#ifdef __bpf__
#include <linux/types.h>
typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
#else
#include <stdint.h>
#endif

#define RF_INLINE static inline __attribute__((always_inline))
/* Of what the kernel's verifier is to look at by itself, once, and not wherever it is called. */
#ifdef __bpf__
#define RF_APART __attribute__((noinline))
/* The compiler forgets what it knows of x, so that a test of it stays where the verifier sees it. */
#define RF_OPAQUE(x) __asm__ volatile("" : "+r"(x))
#else
#define RF_OPAQUE(x)
#define RF_APART static inline
#endif

/* Big-endian loads and stores; packets are not aligned. A C++ compiler makes one instruction of the bytes. For BPF clang does not, so there it is said:
   the kernel's verifier lets it pass on machines that can do it (x86, arm64). */
#ifdef __bpf__
typedef uint16_t __attribute__((may_alias)) rf_word16;
typedef uint32_t __attribute__((may_alias)) rf_word32;
RF_INLINE uint16_t rf_load16(const uint8_t *p) { return __builtin_bswap16(*(const rf_word16 *)p); }
RF_INLINE uint32_t rf_load32(const uint8_t *p) { return __builtin_bswap32(*(const rf_word32 *)p); }
RF_INLINE void rf_store16(uint8_t *p, uint16_t v) { *(rf_word16 *)p = __builtin_bswap16(v); }
#else
RF_INLINE uint16_t rf_load16(const uint8_t *p) { return (uint16_t)((uint16_t)(p[0] << 8) | p[1]); }
RF_INLINE uint32_t rf_load32(const uint8_t *p) {
  return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | (uint32_t)p[3];
}
RF_INLINE void rf_store16(uint8_t *p, uint16_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
#endif
RF_INLINE uint64_t rf_load64(const uint8_t *p) { return (uint64_t)rf_load32(p) << 32 | rf_load32(p + 4); }

#endif
