/* A VIP of the port's segment, as the neighbor guard sees it. */
#ifndef RAINFRONT_STEER_VIP_H
#define RAINFRONT_STEER_VIP_H

#include "types.h"

#define RF_VIP_COUNT_MAX 1024u

struct rf_vip {
  uint64_t from_ns; /* when owned: not before this time (the last owner's lease has run out by then) */
  uint8_t owned;    /* by this node */
};

#endif
