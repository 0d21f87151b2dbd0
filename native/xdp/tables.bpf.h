/* The pipeline's tables as BPF maps (see steer/tables.h); layout.h has what user space puts into them. */
#ifndef RAINFRONT_XDP_TABLES_H
#define RAINFRONT_XDP_TABLES_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../steer/steer.h"
#include "layout.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_port_state);
} port_state SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, RF_MAGLEV_SLOTS);
  __type(key, __u32);
  __type(value, __u16);
} maglev SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 65536);
  __type(key, __u32);
  __type(value, __u8);
} members SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct rf_vip_key);
  __type(value, struct rf_vip);
} vips SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 8192);
  __type(key, struct rf_fragment_key);
  __type(value, struct rf_fragment_place);
} fragments SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, RF_COUNTER_COUNT);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct rf_work);
} work_of_cpu SEC(".maps");

struct rf_tables {
  const struct rf_port_state *state;
};

RF_INLINE uint16_t rf_tables_self(const struct rf_tables *tables) { return tables->state->self; }

RF_INLINE int rf_tables_is_member(__attribute__((unused)) const struct rf_tables *tables, uint16_t node) {
  __u32 key = node;
  const __u8 *is_member = bpf_map_lookup_elem(&members, &key);
  return is_member && *is_member;
}

RF_INLINE uint16_t rf_tables_authority(__attribute__((unused)) const struct rf_tables *tables, const struct rf_flow_key *key) {
  if (!tables->state->has_view) return 0;
  __u32 slot = (__u32)(rf_flow_hash(key, &tables->state->secret) % RF_MAGLEV_SLOTS);
  const __u16 *node = bpf_map_lookup_elem(&maglev, &slot);
  return node ? *node : 0;
}

RF_INLINE uint64_t rf_tables_lease_until_ns(const struct rf_tables *tables) { return tables->state->lease_until_ns; }

RF_INLINE const struct rf_vip *rf_tables_vip(__attribute__((unused)) const struct rf_tables *tables, uint16_t family, const uint64_t address[2]) {
  struct rf_vip_key key = {{address[0], address[1]}, family, {0}};
  return bpf_map_lookup_elem(&vips, &key);
}

RF_INLINE uint16_t rf_tables_fragment(__attribute__((unused)) const struct rf_tables *tables, const struct rf_fragment_key *key, uint64_t now_ns) {
  const struct rf_fragment_place *place = bpf_map_lookup_elem(&fragments, key);
  return place && now_ns < place->until_ns ? place->node : 0;
}

RF_INLINE void rf_tables_remember_fragment(__attribute__((unused)) const struct rf_tables *tables, const struct rf_fragment_key *key, uint16_t node, uint64_t now_ns) {
  struct rf_fragment_place place = {now_ns + RF_FRAGMENT_LIFE_NS, node, {0}};
  bpf_map_update_elem(&fragments, key, &place, BPF_ANY);
}

#endif
