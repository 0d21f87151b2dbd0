/* What the load generator's BPF programs and their loader share. */
#ifndef RAINFRONT_TESTHOST_LIVE_H
#define RAINFRONT_TESTHOST_LIVE_H

#include "../../steer/types.h"

#define RF_LIVE_FRAME_LEN 60u /* 64 on a wire, with the frame check sequence */
#define RF_LIVE_PORT 9u       /* discard */
#define RF_LIVE_PORTS 50000u  /* source ports of one source address */

struct rf_live_settings {
  uint32_t interface;  /* frames leave here */
  uint32_t flows;
  uint32_t source;     /* the first source address, in host byte order */
  uint32_t destination;
  uint8_t source_mac[6];
  uint8_t destination_mac[6];
  uint8_t unused[4];
};

/* Of one CPU. */
struct rf_live_counts {
  uint64_t sent;
  uint64_t received;
};

#endif
