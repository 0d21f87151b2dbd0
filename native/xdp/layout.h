/* Layouts that the BPF program and its loader share. A change here takes a new RF_XDP_LAYOUT, unless its loader makes right what an earlier one left in those
   bytes: a daemon goes on with the maps of an earlier one only if they are laid out as its own. */
#ifndef RAINFRONT_XDP_LAYOUT_H
#define RAINFRONT_XDP_LAYOUT_H

#include "../steer/assignment.h"
#include "../steer/counters.h"
#include "../steer/departed.h"
#include "../steer/flow.h"
#include "../steer/maglev.h"
#include "../steer/port_ranges.h"
#include "../steer/service.h"
#include "../steer/siphash.h"
#include "../steer/types.h"

#define RF_XDP_LAYOUT 7u
#define RF_NODE_COUNT 65536u
#define RF_XDP_FRAME_LEN_MAX 2016u

/* Of one port; user space has it mapped. A lease is checked against the kernel's clock on every answer: where its daemon has stopped, the program
   falls silent by itself. */
struct rf_port_state {
  uint64_t lease_until_ns;
  uint64_t clock_ns; /* 0: the kernel's (CLOCK_BOOTTIME); else of a test */
  uint32_t layout;
  uint32_t active; /* which of the two views is in force: the other one is written meanwhile */
  uint8_t front_mac[6];
  uint8_t redirects; /* what goes out of the NIC again is redirected to it, and not sent by XDP_TX: see xdp_port.cc */
  uint8_t carries_ipv6; /* there is an IPv6 VIP; whoever loads a program sees that by the VIPs */
  uint32_t opening_mask; /* of the numbers of buckets of flows that open: one less than a power of two */
  uint32_t unused;
};

/* Which node handles which flow; user space has both mapped. */
struct rf_view {
  struct rf_hash_key secret;
  uint16_t self;
  uint8_t has_view;
  uint8_t policy; /* enum rf_policy */
  uint8_t unused[4];
  struct rf_departed departed[RF_DEPARTED_COUNT];
  uint64_t members[RF_NODE_COUNT / 64];
  struct rf_port_ranges port_ranges;
  uint16_t slots[RF_MAGLEV_SLOTS];
  uint8_t padding[6];
};

/* How flows are assigned, beside the view of the same place; user space has both mapped. */
struct rf_assignment_view {
  uint64_t settled_ns;
  uint32_t epoch;
  uint8_t stickiness; /* enum rf_stickiness */
  uint8_t has_services;
  uint8_t index; /* of this view, as in rf_service_key */
  uint8_t unused;
  uint64_t ready[RF_NODE_COUNT / 64];
  uint32_t since[RF_NODE_COUNT];
  uint16_t choices[RF_MAGLEV_SLOTS];
  uint8_t padding[6];
};

/* What is known of a flow that was answered; of one that opens: opening.h. */
struct rf_flow_record {
  uint64_t seen_ns;
  struct rf_assignment assignment;
};

/* Of one CPU. User space has them mapped. */
struct rf_turn {
  uint64_t n; /* odd while its program deals with a frame by what it has seen of the VIPs */
  uint64_t jiffies; /* in which it last looked at the clock, */
  uint64_t now_ns;  /* and what that said */
  uint64_t padding[5];
};

/* Which place of the array `vip_starts` has what is known of a VIP; this changes with the configuration only. */
struct rf_vip_key {
  uint64_t address[2];
  uint16_t family;
  uint8_t unused[6];
};

/* In `vip_starts`, which user space has mapped, so that a change is one store, which nothing can refuse: when this node begins to answer, or this. */
#define RF_VIP_NOT_OURS (~0ull)

struct rf_fragment_place {
  uint64_t until_ns;
  uint16_t node;
  uint8_t unused[6];
};

/* Of one CPU, by enum rf_counter. */
struct rf_counts {
  uint64_t n[RF_COUNTER_COUNT];
};

enum rf_event_kind {
  RF_EVENT_CONFLICT = 1, /* a stranger claims a VIP of ours; no frame */
  RF_EVENT_PUNT = 2,     /* a frame that waits: a later fragment for its first one, or one of a flow for what the others know of it */
  RF_EVENT_TOLD = 3,     /* rf_told_event */
};

struct rf_event_head {
  uint16_t kind; /* enum rf_event_kind */
  uint16_t len;  /* of the frame that follows */
  uint32_t unused;
};

/* `peer` is to be told that `assignment` is the flow's. */
struct rf_told_event {
  struct rf_event_head head;
  struct rf_flow_key key;
  struct rf_assignment assignment;
  uint16_t peer;
  uint8_t unused[6];
};

struct rf_frame_event {
  struct rf_event_head head;
  uint8_t frame[RF_XDP_FRAME_LEN_MAX];
};

#endif
