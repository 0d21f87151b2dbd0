/* What is remembered of a flow: who handles it. Made by assign.h, kept by the tables. */
#ifndef RAINFRONT_STEER_ASSIGNMENT_H
#define RAINFRONT_STEER_ASSIGNMENT_H

#include "types.h"

/* How a flow gets the node that handles it. */
enum rf_policy {
  RF_POLICY_HASH,     /* its authority: nothing need be remembered */
  RF_POLICY_RECEIVER, /* the node that got its first packet, */
  RF_POLICY_BALANCED, /* or by weights; its authority assigns it, and the others remember what they are told */
};

/* For how long it is remembered after its last packet. */
enum rf_flow_life {
  RF_LIFE_OPENING,  /* nobody has answered yet */
  RF_LIFE_CLOSING,  /* TCP, after a FIN or RST */
  RF_LIFE_DATAGRAM, /* all but TCP */
  RF_LIFE_STREAM,   /* TCP */
  RF_LIFE_COUNT,
};
#define RF_SECOND_NS 1000000000ull
/* RFC 4787, REQ-5, and RFC 5382, REQ-5: what a NAT must not undercut. */
#define RF_LIFE_OPENING_NS (60 * RF_SECOND_NS)
#define RF_LIFE_CLOSING_NS (120 * RF_SECOND_NS)
#define RF_LIFE_DATAGRAM_NS (300 * RF_SECOND_NS)
#define RF_LIFE_STREAM_NS (7440 * RF_SECOND_NS)

/* Whose flows belong together and go to one node, whatever the policy: those of one host beyond the layer, as protocols want it whose connections belong together (FTP). The
   choice follows from that host's address, which no translation of the layer's changes: of packets that come in by the external segment it is the source, else the destination. */
enum rf_stickiness {
  RF_STICKS_TO_NOTHING,
  RF_STICKS_TO_SOURCE,
  RF_STICKS_TO_DESTINATION,
};

enum rf_assignment_flag {
  RF_ASSIGNED_FROM_LOW = 1, /* the first packet came from the key's lower end */
  RF_ASSIGNED_ANSWERED = 2, /* and one came from the other end */
  RF_ASSIGNED_ASKED = 4,    /* node 0: all others were asked, and none of them handles it. So the word is not 0 */
  RF_ASSIGNED_ALIAS = 8,    /* of a translated connection, as its answers have it: the authority of its first packets is another */
  RF_ASSIGNED_GUESSED = 16, /* its node was not sure of it when all were asked: flows/claim.h */
};

/* 8 bytes without padding, never all 0: one word, which is read and written as one. */
struct __attribute__((aligned(8))) rf_assignment {
  uint32_t epoch; /* of the view in which it was made: who has left the view since handles it no more, even if it is back */
  uint16_t node;
  uint8_t count;          /* of packets by which other nodes asked for it; of periods with packets, where it is this node's; from 64 on, again from 32; how unlikely a guess is, while it is asked for */
  uint8_t flags_and_life; /* enum rf_assignment_flag; the upper two bits: enum rf_flow_life */
};

struct rf_found_flow {
  struct rf_assignment assignment;
  uint32_t periods; /* that have begun since its last packet: see RF_PERIOD_SHIFT */
};

/* Where it is kept. A flood of packets that nobody answers fills the place of those that open, and leaves the others alone. */
enum rf_flow_place { RF_FLOW_UNKNOWN, RF_FLOW_OPENING, RF_FLOW_ESTABLISHED };

#define RF_ASSIGNMENT_LIFE_SHIFT 6
#define RF_ASSIGNMENT_FLAGS 0x3fu
#define RF_ASSIGNMENT_COUNT_MAX 64u
/* What is done about a flow at times is done at its first packet in each period of 2^30 ns, which is about a second. */
#define RF_PERIOD_SHIFT 30
/* By then another connection may have begun between the ends of one that is over; */
#define RF_CLOSING_PERIODS 4u
/* what others handle is heard of again, but by its authority, and what had not begun is given up; */
#define RF_QUIET_PERIODS 32u
/* and who was to answer a first packet has done so. */
#define RF_ANSWERED_PERIODS 2u

RF_INLINE uint8_t rf_flags_and_life(unsigned flags, unsigned life) { return (uint8_t)(flags | life << RF_ASSIGNMENT_LIFE_SHIFT); }
RF_INLINE uint8_t rf_assignment_life(const struct rf_assignment *a) { return a->flags_and_life >> RF_ASSIGNMENT_LIFE_SHIFT; }
RF_INLINE int rf_assignment_has(const struct rf_assignment *a, enum rf_assignment_flag flag) { return (a->flags_and_life & flag) != 0; }

/* Clocks of two CPUs may differ a little. */
RF_INLINE uint32_t rf_periods_between(uint64_t seen_ns, uint64_t now_ns) {
  const uint64_t seen = seen_ns >> RF_PERIOD_SHIFT, now = now_ns >> RF_PERIOD_SHIFT;
  return now > seen ? (uint32_t)(now - seen) : 0;
}

RF_INLINE uint64_t rf_life_ns(uint8_t life) {
  return life == RF_LIFE_STREAM ? RF_LIFE_STREAM_NS : life == RF_LIFE_DATAGRAM ? RF_LIFE_DATAGRAM_NS : life == RF_LIFE_CLOSING ? RF_LIFE_CLOSING_NS : RF_LIFE_OPENING_NS;
}

#endif
