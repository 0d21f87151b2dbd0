/* Services: addresses, or ports of theirs, whose new flows get their nodes by a policy of their own. Looked up by assign.h, kept by the tables. */
#ifndef RAINFRONT_STEER_SERVICE_H
#define RAINFRONT_STEER_SERVICE_H

#include "types.h"

#define RF_SERVICES_MAX 256u

/* No padding: it is hashed as it is. */
struct rf_service_key {
  uint64_t address[2]; /* as in rf_flow_key */
  uint16_t family;
  uint16_t port;    /* 0, and no protocol: all of the address */
  uint8_t protocol;
  uint8_t view;     /* which of its two views: BPF's tables alone */
  uint8_t unused[2];
};

struct rf_service {
  uint8_t policy;     /* enum rf_policy */
  uint8_t stickiness; /* enum rf_stickiness */
};

#endif
