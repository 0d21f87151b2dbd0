/* Flows that open, in the kernel: buckets of seven, each by itself an LRU, found by the flow's hash, which is keyed, so that nobody outside can aim flows at one. A flood of new flows is a row of
   insertions here, and in an LRU map of the kernel's one takes longer. Pure: the program calls it with the bucket's lock held, user space on a copy.

   A flow is driven out when seven newer ones have come to its bucket, which is about when as many have come as there is room for.

   Without branches, for the kernel's verifier goes all of their ways. */
#ifndef RAINFRONT_XDP_OPENING_H
#define RAINFRONT_XDP_OPENING_H

#include <linux/bpf.h>

#include "../steer/assignment.h"
#include "../steer/flow_key.h"

#define RF_OPENING_SLOTS 7u
/* About a millisecond. */
#define RF_OPENING_TICK_SHIFT 20
/* So many ticks another CPU may be ahead with the time: flows that it has seen are not taken for old. */
#define RF_OPENING_AHEAD_MAX 64u

struct rf_opening_slot {
  struct rf_flow_key key;
  struct rf_assignment assignment;
};

/* What is looked at first is in one line of the cache. */
struct rf_opening_bucket {
  struct bpf_spin_lock lock;
  uint32_t tags[RF_OPENING_SLOTS]; /* of the flows' hashes, no two the same; 0: free */
  uint32_t seen[RF_OPENING_SLOTS]; /* in ticks */
  uint32_t unused;
  struct rf_opening_slot slots[RF_OPENING_SLOTS];
};

RF_INLINE uint32_t rf_opening_ticks(uint64_t now_ns) { return (uint32_t)(now_ns >> RF_OPENING_TICK_SHIFT); }

/* In ticks, RF_OPENING_AHEAD_MAX for what was seen just now. */
RF_INLINE uint32_t rf_opening_age(uint32_t now, uint32_t seen) { return now + RF_OPENING_AHEAD_MAX - seen; }

/* Of bits that the bucket's number does not have. */
RF_INLINE uint32_t rf_opening_tag(uint64_t hash) { return (uint32_t)(hash >> 32) | 1u; }

RF_INLINE int rf_opening_has(const struct rf_opening_slot *slot, const struct rf_flow_key *key) {
  const struct rf_flow_key *there = &slot->key;
  const uint64_t addresses = (there->addr_low[0] ^ key->addr_low[0]) | (there->addr_low[1] ^ key->addr_low[1]) | (there->addr_high[0] ^ key->addr_high[0]) | (there->addr_high[1] ^ key->addr_high[1]);
  return !(addresses | (there->ports ^ key->ports) | (uint64_t)(there->family ^ key->family) | (uint64_t)(there->protocol ^ key->protocol));
}

/* The slot that has the tag, or RF_OPENING_SLOTS. */
RF_INLINE uint32_t rf_opening_tagged(const struct rf_opening_bucket *bucket, uint32_t tag) {
  uint64_t slot = RF_OPENING_SLOTS;
  for (uint32_t i = 0; i < RF_OPENING_SLOTS; i++) {
    uint64_t is_it = ((uint64_t)(bucket->tags[i] ^ tag) - 1) >> 63;
    RF_OPAQUE(is_it);
    slot -= (RF_OPENING_SLOTS - i) * is_it;
  }
  return (uint32_t)slot & 7u;
}

/* For a new flow: the slot of one with the same tag; or a free one; or that of the flow that was seen least recently. */
RF_INLINE uint32_t rf_opening_room(const struct rf_opening_bucket *bucket, uint32_t tag, uint32_t now) {
  uint64_t best = 0;
  for (uint32_t i = 0; i < RF_OPENING_SLOTS; i++) {
    const uint64_t is_free = ((uint64_t)bucket->tags[i] - 1) >> 63, is_same = ((uint64_t)(bucket->tags[i] ^ tag) - 1) >> 63;
    /* The most urgent one's rank, with its slot in the lowest bits. */
    const uint64_t rank = (is_same << 40 | is_free << 39 | (uint64_t)rf_opening_age(now, bucket->seen[i]) << 3) | i;
    uint64_t is_less = (best - rank) >> 63;
    RF_OPAQUE(is_less);
    best += (rank - best) * is_less;
  }
  return (uint32_t)best & 7u;
}

/* What is known of the flow in a slot, unless it has outlived itself. Who asks keeps it alive, once in each period. */
RF_INLINE int rf_opening_read(struct rf_opening_bucket *bucket, uint32_t slot, uint64_t now_ns, struct rf_found_flow *found) {
  const uint32_t now = rf_opening_ticks(now_ns), seen = bucket->seen[slot];
  const uint32_t shift = RF_PERIOD_SHIFT - RF_OPENING_TICK_SHIFT;
  /* Of as many bits as ticks have periods. */
  const uint32_t periods = ((now >> shift) - (seen >> shift)) & (~0u >> shift);
  found->assignment = bucket->slots[slot].assignment;
  /* 0 where another CPU was ahead. */
  found->periods = periods & ((periods >> (31 - shift)) - 1u);
  if (!found->periods) return 1;
  if (rf_opening_age(now, seen) > RF_OPENING_AHEAD_MAX + (rf_life_ns(rf_assignment_life(&found->assignment)) >> RF_OPENING_TICK_SHIFT)) return 0;
  bucket->seen[slot] = now;
  return 1;
}

RF_INLINE void rf_opening_write(struct rf_opening_bucket *bucket, uint32_t slot, const struct rf_flow_key *key, uint64_t hash, const struct rf_assignment *a, uint64_t now_ns) {
  bucket->tags[slot] = rf_opening_tag(hash);
  bucket->seen[slot] = rf_opening_ticks(now_ns);
  bucket->slots[slot].key = *key;
  bucket->slots[slot].assignment = *a;
}

/* Whether it is there. */
RF_INLINE int rf_opening_find(struct rf_opening_bucket *bucket, const struct rf_flow_key *key, uint64_t hash, uint64_t now_ns, struct rf_found_flow *found) {
  const uint32_t slot = rf_opening_tagged(bucket, rf_opening_tag(hash));
  return slot < RF_OPENING_SLOTS && rf_opening_has(&bucket->slots[slot], key) && rf_opening_read(bucket, slot, now_ns, found);
}

/* In its place where it has one. */
RF_INLINE void rf_opening_put(struct rf_opening_bucket *bucket, const struct rf_flow_key *key, uint64_t hash, const struct rf_assignment *a, uint64_t now_ns) {
  const uint32_t slot = rf_opening_room(bucket, rf_opening_tag(hash), rf_opening_ticks(now_ns));
  if (slot < RF_OPENING_SLOTS) rf_opening_write(bucket, slot, key, hash, a, now_ns);
}

/* If it is there already, `a` becomes what is there. */
RF_INLINE void rf_opening_admit(struct rf_opening_bucket *bucket, const struct rf_flow_key *key, uint64_t hash, struct rf_assignment *a, uint64_t now_ns) {
  const uint32_t slot = rf_opening_room(bucket, rf_opening_tag(hash), rf_opening_ticks(now_ns));
  struct rf_found_flow there;
  if (slot >= RF_OPENING_SLOTS) return;
  const int is_same = bucket->tags[slot] == rf_opening_tag(hash) && rf_opening_has(&bucket->slots[slot], key);
  if (is_same && rf_opening_read(bucket, slot, now_ns, &there)) *a = there.assignment;
  else rf_opening_write(bucket, slot, key, hash, a, now_ns);
}

RF_INLINE void rf_opening_forget(struct rf_opening_bucket *bucket, const struct rf_flow_key *key, uint64_t hash) {
  const uint32_t slot = rf_opening_tagged(bucket, rf_opening_tag(hash));
  if (slot < RF_OPENING_SLOTS && rf_opening_has(&bucket->slots[slot], key)) bucket->tags[slot] = 0;
}

#endif
