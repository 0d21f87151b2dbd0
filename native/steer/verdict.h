/* What the pipeline says of a frame. The names are the same in C++, BPF, TypeScript and the vectors. */
#ifndef RAINFRONT_STEER_VERDICT_H
#define RAINFRONT_STEER_VERDICT_H

#include "types.h"

enum rf_verdict_kind {
  RF_VERDICT_LEAVE, /* not the layer's: this node's kernel has it, or gets it, as it is */
  RF_VERDICT_PASS,  /* to this node's kernel, as the node that handles it */
  RF_VERDICT_DROP,  /* for `cause` */
  RF_VERDICT_RELAY, /* to `node` */
  RF_VERDICT_REPLY, /* the frame in rf_reply, out of the port that this one came in by; counted as `cause` */
  RF_VERDICT_PUNT,  /* to the control plane, which waits for what would decide it; counted as `cause` */
};

struct rf_verdict {
  enum rf_verdict_kind kind;
  uint16_t cause; /* enum rf_counter */
  uint16_t node;
  uint16_t told; /* the node that is to be told who handles the flow: that is `node` of a relay, else this one; or 0 */
  uint8_t from_peer;
  uint8_t conflict; /* a stranger claims a VIP of ours: announce it again */
  uint8_t relay;    /* enum rf_relay_kind */
  uint8_t told_as;  /* the flow's flags_and_life, see rf_assignment */
};

/* Room for an answer: the largest is a neighbour advertisement behind two tags. */
struct rf_reply {
  uint32_t len;
  uint8_t frame[96];
};

RF_INLINE struct rf_verdict rf_verdict_of(enum rf_verdict_kind kind, int cause, int from_peer) {
  struct rf_verdict v = {kind, (uint16_t)cause, 0, 0, (uint8_t)from_peer, 0, 0, 0};
  return v;
}
RF_INLINE struct rf_verdict rf_leave(void) { return rf_verdict_of(RF_VERDICT_LEAVE, 0, 0); }
RF_INLINE struct rf_verdict rf_pass(int from_peer) { return rf_verdict_of(RF_VERDICT_PASS, 0, from_peer); }
RF_INLINE struct rf_verdict rf_drop(int cause, int from_peer) { return rf_verdict_of(RF_VERDICT_DROP, cause, from_peer); }
RF_INLINE struct rf_verdict rf_replied(int cause) { return rf_verdict_of(RF_VERDICT_REPLY, cause, 0); }

#endif
