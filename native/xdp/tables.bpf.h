/* The pipeline's tables as BPF maps (see steer/tables.h); layout.h has what user space puts into them. */
#ifndef RAINFRONT_XDP_TABLES_H
#define RAINFRONT_XDP_TABLES_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../steer/steer.h"
#include "layout.h"
#include "opening.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_port_state);
} port_state SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, struct rf_view);
} views SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, struct rf_assignment_view);
} assignments SEC(".maps");

/* One per CPU: the loader says how many there are. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_turn);
} turns SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, RF_VIP_COUNT_MAX);
  __type(key, struct rf_vip_key);
  __type(value, __u32);
} vip_places SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, RF_VIP_COUNT_MAX);
  __type(key, __u32);
  __type(value, __u64);
} vip_starts SEC(".maps");

/* Of both views. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2 * RF_SERVICES_MAX);
  __type(key, struct rf_service_key);
  __type(value, struct rf_service);
} services SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct rf_fragment_key);
  __type(value, struct rf_fragment_place);
} fragments SEC(".maps");

/* Flows, for the programs of all the node's ports. The loader says how many there are, and by state.opening_mask how many buckets of those that open. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, struct rf_flow_key);
  __type(value, struct rf_flow_record);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_opening_bucket);
} flows_opening SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_counts);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_work);
} work_of_cpu SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Of their own, for whoever sends packets in the middle of connections that nobody knows can fill it. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
} flow_events SEC(".maps");

struct rf_tables {
  const struct rf_port_state *state;
  const struct rf_view *view;
  const struct rf_assignment_view *assignment;
  struct rf_turn *turn;
};

RF_INLINE uint16_t rf_tables_self(const struct rf_tables *tables) { return tables->view->self; }

RF_INLINE int rf_tables_has_view(const struct rf_tables *tables) { return tables->view->has_view; }

RF_INLINE int rf_tables_is_member(const struct rf_tables *tables, uint16_t node) { return (int)(tables->view->members[node / 64] >> (node % 64)) & 1; }

RF_INLINE uint64_t rf_tables_departed_until_ns(const struct rf_tables *tables, uint16_t node) { return rf_departed_until_ns(tables->view->departed, node); }

RF_INLINE uint64_t rf_tables_flow_hash(const struct rf_tables *tables, const struct rf_flow_key *key) { return rf_flow_hash(key, &tables->view->secret); }

RF_INLINE uint16_t rf_tables_authority_of(const struct rf_tables *tables, uint64_t hash) {
  if (!tables->view->has_view) return 0;
  uint32_t slot = rf_maglev_slot(hash);
  RF_OPAQUE(slot);
  return slot < RF_MAGLEV_SLOTS ? tables->view->slots[slot] : 0; /* the verifier does not know that it is */
}

RF_INLINE uint16_t rf_tables_port_owner(const struct rf_tables *tables, const struct rf_flow_key *key) { return rf_port_owner(&tables->view->port_ranges, key); }

RF_INLINE uint64_t rf_tables_exact_ns(const struct rf_tables *tables, __attribute__((unused)) uint64_t about_ns) {
  return tables->state->clock_ns ? tables->state->clock_ns : bpf_ktime_get_boot_ns();
}

RF_INLINE uint64_t rf_tables_lease_until_ns(const struct rf_tables *tables) { return *(const volatile uint64_t *)&tables->state->lease_until_ns; }

RF_INLINE int rf_tables_carries_ipv6(const struct rf_tables *tables) { return tables->state->carries_ipv6; }

/* From the first look at a VIP on, user space can see that an answer may be under way: an atomic operation with a result is a full barrier. */
RF_INLINE int rf_tables_vip(const struct rf_tables *tables, uint16_t family, const uint64_t address[2], struct rf_vip *vip) {
  struct rf_vip_key key = {{address[0], address[1]}, family, {0}};
  (void)__sync_fetch_and_or(&tables->turn->n, 1ull);
  const __u32 *place = bpf_map_lookup_elem(&vip_places, &key);
  if (!place) return 0;
  const volatile __u64 *start = bpf_map_lookup_elem(&vip_starts, place);
  if (!start) return 0;
  vip->from_ns = *start;
  vip->owned = vip->from_ns != RF_VIP_NOT_OURS;
  return 1;
}

RF_INLINE void rf_turn_end(struct rf_turn *turn) {
  if (turn->n & 1) __sync_fetch_and_add(&turn->n, 1);
}

RF_INLINE uint16_t rf_tables_fragment(__attribute__((unused)) const struct rf_tables *tables, const struct rf_fragment_key *key, uint64_t now_ns) {
  const struct rf_fragment_place *place = bpf_map_lookup_elem(&fragments, key);
  return place && now_ns < place->until_ns ? place->node : 0;
}

RF_INLINE void rf_tables_remember_fragment(__attribute__((unused)) const struct rf_tables *tables, const struct rf_fragment_key *key, uint16_t node, uint64_t now_ns) {
  struct rf_fragment_place place = {now_ns + RF_FRAGMENT_LIFE_NS, node, {0}};
  bpf_map_update_elem(&fragments, key, &place, BPF_ANY);
}

RF_INLINE unsigned rf_tables_policy(const struct rf_tables *tables) { return tables->view->policy; }

RF_INLINE uint32_t rf_tables_epoch(const struct rf_tables *tables) { return tables->assignment->epoch; }

RF_INLINE uint32_t rf_tables_member_since(const struct rf_tables *tables, uint16_t node) { return tables->assignment->since[node]; }

RF_INLINE int rf_tables_is_ready(const struct rf_tables *tables, uint16_t node) { return (int)(tables->assignment->ready[node / 64] >> (node % 64)) & 1; }

RF_INLINE uint64_t rf_tables_settled_ns(const struct rf_tables *tables) { return tables->assignment->settled_ns; }

RF_INLINE unsigned rf_tables_stickiness(const struct rf_tables *tables) { return tables->assignment->stickiness; }

RF_INLINE int rf_tables_has_services(const struct rf_tables *tables) { return tables->assignment->has_services; }

RF_INLINE int rf_tables_service(const struct rf_tables *tables, const struct rf_service_key *key, struct rf_service *service) {
  struct rf_service_key in_view = *key;
  in_view.view = tables->assignment->index;
  const struct rf_service *found = bpf_map_lookup_elem(&services, &in_view);
  if (!found) return 0;
  *service = *found;
  return 1;
}

RF_INLINE uint64_t rf_tables_host_hash(const struct rf_tables *tables, const uint64_t address[2]) { return rf_siphash13(address, 2, &tables->view->secret); }

RF_INLINE uint16_t rf_tables_choice(const struct rf_tables *tables, uint64_t hash) {
  uint32_t slot = rf_maglev_slot(rf_choice_hash(hash));
  RF_OPAQUE(slot);
  return slot < RF_MAGLEV_SLOTS ? tables->assignment->choices[slot] : 0;
}

/* Written seldom: CPUs would take the line from each other. */
RF_INLINE int rf_flow_record_is_alive(struct rf_flow_record *record, uint64_t now_ns, struct rf_found_flow *found) {
  found->assignment = record->assignment;
  const uint64_t seen_ns = record->seen_ns;
  found->periods = rf_periods_between(seen_ns, now_ns);
  if (!found->periods) return 1;
  if (now_ns > seen_ns + rf_life_ns(rf_assignment_life(&found->assignment))) return 0;
  record->seen_ns = now_ns;
  return 1;
}

RF_INLINE struct rf_opening_bucket *rf_opening_bucket(const struct rf_tables *tables, uint64_t hash) {
  const __u32 index = (__u32)hash & tables->state->opening_mask;
  return bpf_map_lookup_elem(&flows_opening, &index);
}

RF_INLINE int rf_tables_find_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, uint64_t now_ns, struct rf_found_flow *found) {
  struct rf_flow_record *record = bpf_map_lookup_elem(&flows, key);
  if (record && rf_flow_record_is_alive(record, now_ns, found)) return RF_FLOW_ESTABLISHED;
  struct rf_opening_bucket *bucket = rf_opening_bucket(tables, hash);
  if (!bucket) return RF_FLOW_UNKNOWN;
  bpf_spin_lock(&bucket->lock);
  const int is_there = rf_opening_find(bucket, key, hash, now_ns, found);
  bpf_spin_unlock(&bucket->lock);
  return is_there ? RF_FLOW_OPENING : RF_FLOW_UNKNOWN;
}

RF_INLINE void rf_put_opening(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, const struct rf_assignment *a, uint64_t now_ns) {
  struct rf_opening_bucket *bucket = rf_opening_bucket(tables, hash);
  if (!bucket) return;
  bpf_spin_lock(&bucket->lock);
  rf_opening_put(bucket, key, hash, a, now_ns);
  bpf_spin_unlock(&bucket->lock);
}

/* In its place where it has one: a new one may cost another flow its own. */
RF_INLINE void rf_put_established(const struct rf_flow_key *key, const struct rf_assignment *a, uint64_t now_ns) {
  struct rf_flow_record *known = bpf_map_lookup_elem(&flows, key);
  if (known) {
    known->assignment = *a;
    known->seen_ns = now_ns;
    return;
  }
  struct rf_flow_record record = {now_ns, *a};
  bpf_map_update_elem(&flows, key, &record, BPF_ANY);
}

RF_INLINE void rf_tables_put_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, const struct rf_assignment *a, int place, uint64_t now_ns) {
  if (place == RF_FLOW_OPENING) rf_put_opening(tables, key, hash, a, now_ns);
  else rf_put_established(key, a, now_ns);
}

RF_INLINE void rf_tables_admit_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, struct rf_assignment *a, uint64_t now_ns) {
  struct rf_opening_bucket *bucket = rf_opening_bucket(tables, hash);
  if (!bucket) return;
  bpf_spin_lock(&bucket->lock);
  rf_opening_admit(bucket, key, hash, a, now_ns);
  bpf_spin_unlock(&bucket->lock);
}

RF_INLINE void rf_tables_forget_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, int place) {
  if (place == RF_FLOW_ESTABLISHED) bpf_map_delete_elem(&flows, key);
  struct rf_opening_bucket *bucket = rf_opening_bucket(tables, hash);
  if (!bucket) return;
  bpf_spin_lock(&bucket->lock);
  rf_opening_forget(bucket, key, hash);
  bpf_spin_unlock(&bucket->lock);
}

#endif
