/* Layouts that the BPF program and its loader share. */
#ifndef RAINFRONT_XDP_LAYOUT_H
#define RAINFRONT_XDP_LAYOUT_H

#include "../steer/siphash.h"
#include "../steer/types.h"

#define RF_MAGLEV_SLOTS 65537u
#define RF_FRAGMENT_LIFE_NS 30000000000ull

/* Of one port. A lease is checked against the kernel's clock on every answer: where its daemon has stopped, the program falls silent by itself. */
struct rf_port_state {
  uint64_t lease_until_ns;
  uint64_t clock_ns; /* 0: the kernel's (CLOCK_BOOTTIME); else of a test */
  struct rf_hash_key secret;
  uint16_t self;
  uint8_t has_view;
  uint8_t front_mac[6];
  uint8_t nic_mac[6];
  uint8_t unused;
};

struct rf_vip_key {
  uint64_t address[2];
  uint16_t family;
  uint8_t unused[6];
};

struct rf_fragment_place {
  uint64_t until_ns;
  uint16_t node;
  uint8_t unused[6];
};

#endif
