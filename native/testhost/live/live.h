/* What the load generator's BPF programs and their loader share. */
#ifndef RAINFRONT_TESTHOST_LIVE_H
#define RAINFRONT_TESTHOST_LIVE_H

#include "../../steer/types.h"

#define RF_LIVE_FRAME_LEN 60u /* 64 on a wire, with the frame check sequence */
#define RF_LIVE_PORTS 50000u  /* of one client address */
#define RF_LIVE_CLIENT_PORT_MIN 1024u
#define RF_LIVE_STREAMS 2u
#define RF_LIVE_BATCH 64u /* frames are sent when so many have been made, and go their whole way before the next are */
#define RF_LIVE_STEPS 4u
/* A row whose frames took longer was interrupted by another program, and is not timed. */
#define RF_LIVE_FRAME_NS_MAX 15000u
/* The servers' port names a frame's stream, wherever it is met: discard, and the one behind it. */
#define RF_LIVE_PORT(stream) (9u + (stream))

/* One packet of each flow of a batch, of some exchange of packets between client and server. */
struct rf_live_step {
  uint8_t is_answer; /* the server's */
  uint8_t tcp_flags;
  uint8_t sequence, acknowledged; /* of TCP: how far each side has come */
};

struct rf_live_stream {
  uint32_t share;  /* frames of it in a row: whole batches, so that the time of a row is that of its frames */
  uint32_t flows;  /* they come round */
  uint32_t first;  /* the number of the first of them */
  uint32_t source; /* the address of flow 0, in host byte order */
  uint8_t protocol;
  uint8_t steps;
  uint8_t unused[2];
  struct rf_live_step step[RF_LIVE_STEPS];
};

struct rf_live_settings {
  uint32_t interface; /* frames leave here */
  uint32_t destination;
  uint8_t source_mac[6];
  uint8_t destination_mac[6];
  uint8_t unused[4];
  struct rf_live_stream streams[RF_LIVE_STREAMS];
};

/* Of one CPU, for each stream. */
struct rf_live_counts {
  uint64_t sent[RF_LIVE_STREAMS];
  uint64_t received[RF_LIVE_STREAMS];
  /* Of whole rows that were not interrupted, from their first frame to the next row's: how long they took, and their frames. */
  uint64_t elapsed_ns[RF_LIVE_STREAMS];
  uint64_t timed[RF_LIVE_STREAMS];
};

/* Where the generator is. All 0 at the beginning of a call, for between two of them the kernel waits for some ticks. */
struct rf_live_row {
  uint64_t since_ns;
  uint32_t stream;
  uint32_t sent; /* in this row */
};

#endif
