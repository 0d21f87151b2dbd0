/* Nodes that have left the view a moment ago, and until when they may go on: a node that was taken out of the view steers by the one it knows until its
   lease ends, and rightly. Tables have a list of them of fixed length. */
#ifndef RAINFRONT_STEER_DEPARTED_H
#define RAINFRONT_STEER_DEPARTED_H

#include "types.h"

#define RF_DEPARTED_COUNT 64

/* An entry that is not used has node 0. */
struct rf_departed {
  uint64_t until_ns; /* the host's clock: its lease has ended for certain then */
  uint16_t node;
  uint8_t unused[6];
};

/* 0 for a node that is not in the list. */
RF_INLINE uint64_t rf_departed_until_ns(const struct rf_departed *departed, uint16_t node) {
  for (int i = 0; i < RF_DEPARTED_COUNT; i++) {
    if (departed[i].node == node) return departed[i].until_ns;
  }
  return 0;
}

#endif
