// The pipeline's tables in user space (see steer/tables.h): what a port's thread has at hand for one frame or one batch. The Maglev table and the VIPs
// are immutable snapshots that the control plane publishes.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <memory>

#include "../steer/maglev.h"
#include "../steer/port_ranges.h"
#include "../steer/steer.h"
#include "flow_map.h"
#include "fragment_table.h"
#include "service_set.h"
#include "vip_set.h"

namespace rainfront {

inline constexpr std::size_t kMaglevSlots = RF_MAGLEV_SLOTS;
inline constexpr std::size_t kNodeIds = 65536;

// How flows are assigned in one view: see steer/tables.h.
struct AssignmentTable {
  rf_policy policy = RF_POLICY_RECEIVER;
  rf_stickiness stickiness = RF_STICKS_TO_NOTHING;
  uint32_t epoch = 1;
  uint64_t settled_ns = 0;
  std::array<uint32_t, kNodeIds> since{};
  std::bitset<kNodeIds> ready{};
  std::array<uint16_t, kMaglevSlots> choices{};  // if any policy is to balance, or flows stick together
  ServiceSet services;
};

// Which node is which flow's authority, in one view.
struct SteeringTable {
  uint16_t self = 0;
  bool has_view = false;
  rf_hash_key secret{};
  std::array<uint16_t, kMaglevSlots> slots{};
  std::bitset<kNodeIds> members{};
  std::array<rf_departed, RF_DEPARTED_COUNT> departed{};
  rf_port_ranges port_ranges{};
  // None: their authorities handle them.
  std::shared_ptr<const AssignmentTable> assignment;
};

// The node that assigns a flow; 0: there is no view.
inline uint16_t authorityOf(const rf_flow_key& key, const SteeringTable& table) {
  if (!table.has_view) return 0;
  const uint16_t owner = rf_port_owner(&table.port_ranges, &key);
  return owner != 0 ? owner : table.slots[rf_maglev_slot(rf_flow_hash(&key, &table.secret))];
}

}  // namespace rainfront

struct rf_tables {
  const rainfront::SteeringTable* steering = nullptr;
  const rainfront::VipSet* vips = nullptr;
  rainfront::FragmentTable* fragments = nullptr;
  // Outlives every snapshot: the lease belongs to the port, because it is renewed far more often than the view changes.
  const std::atomic<uint64_t>* lease_until_ns = nullptr;
  // Where flows are assigned.
  rainfront::FlowMap* flows = nullptr;
};

RF_INLINE uint16_t rf_tables_self(const struct rf_tables* tables) { return tables->steering->self; }

RF_INLINE int rf_tables_has_view(const struct rf_tables* tables) { return tables->steering->has_view; }

RF_INLINE int rf_tables_is_member(const struct rf_tables* tables, uint16_t node) { return tables->steering->members.test(node); }

RF_INLINE uint64_t rf_tables_departed_until_ns(const struct rf_tables* tables, uint16_t node) {
  return rf_departed_until_ns(tables->steering->departed.data(), node);
}

RF_INLINE unsigned rf_tables_policy(const struct rf_tables* tables) { return tables->steering->assignment ? tables->steering->assignment->policy : RF_POLICY_HASH; }

RF_INLINE uint64_t rf_tables_flow_hash(const struct rf_tables* tables, const struct rf_flow_key* key) { return rf_flow_hash(key, &tables->steering->secret); }

RF_INLINE uint16_t rf_tables_authority_of(const struct rf_tables* tables, uint64_t hash) {
  return tables->steering->has_view ? tables->steering->slots[rf_maglev_slot(hash)] : uint16_t{0};
}

RF_INLINE uint16_t rf_tables_port_owner(const struct rf_tables* tables, const struct rf_flow_key* key) { return rf_port_owner(&tables->steering->port_ranges, key); }

RF_INLINE uint32_t rf_tables_epoch(const struct rf_tables* tables) { return tables->steering->assignment->epoch; }

RF_INLINE uint32_t rf_tables_member_since(const struct rf_tables* tables, uint16_t node) { return tables->steering->assignment->since[node]; }

RF_INLINE int rf_tables_is_ready(const struct rf_tables* tables, uint16_t node) { return tables->steering->assignment->ready.test(node); }

RF_INLINE uint16_t rf_tables_choice(const struct rf_tables* tables, uint64_t hash) { return tables->steering->assignment->choices[rf_maglev_slot(rf_choice_hash(hash))]; }

RF_INLINE unsigned rf_tables_stickiness(const struct rf_tables* tables) { return tables->steering->assignment->stickiness; }

RF_INLINE uint64_t rf_tables_host_hash(const struct rf_tables* tables, const uint64_t address[2]) { return rf_siphash13(address, 2, &tables->steering->secret); }

RF_INLINE int rf_tables_has_services(const struct rf_tables* tables) { return !tables->steering->assignment->services.empty(); }

RF_INLINE int rf_tables_service(const struct rf_tables* tables, const struct rf_service_key* key, struct rf_service* service) {
  const rf_service* found = tables->steering->assignment->services.find(*key);
  if (found == nullptr) return 0;
  *service = *found;
  return 1;
}

RF_INLINE uint64_t rf_tables_settled_ns(const struct rf_tables* tables) { return tables->steering->assignment->settled_ns; }

RF_INLINE int rf_tables_find_flow(const struct rf_tables* tables, const struct rf_flow_key* key, uint64_t hash, uint64_t now_ns, struct rf_found_flow* found) {
  return tables->flows->find(*key, hash, now_ns, found);
}

RF_INLINE void rf_tables_put_flow(const struct rf_tables* tables, const struct rf_flow_key* key, uint64_t hash, const struct rf_assignment* a, int place, uint64_t now_ns) {
  tables->flows->put(*key, hash, *a, place, now_ns);
}

RF_INLINE void rf_tables_admit_flow(const struct rf_tables* tables, const struct rf_flow_key* key, uint64_t hash, struct rf_assignment* a, uint64_t now_ns) {
  tables->flows->admit(*key, hash, a, now_ns);
}

RF_INLINE void rf_tables_forget_flow(const struct rf_tables* tables, const struct rf_flow_key* key, uint64_t hash, int place) { tables->flows->forget(*key, hash, place); }

// A batch is short.
RF_INLINE uint64_t rf_tables_exact_ns(const struct rf_tables*, uint64_t about_ns) { return about_ns; }
RF_INLINE uint64_t rf_tables_lease_until_ns(const struct rf_tables* tables) { return tables->lease_until_ns->load(std::memory_order_seq_cst); }

RF_INLINE int rf_tables_carries_ipv6(const struct rf_tables* tables) { return tables->vips->hasIpv6(); }

RF_INLINE int rf_tables_vip(const struct rf_tables* tables, uint16_t family, const uint64_t address[2], struct rf_vip* vip) {
  const rainfront::Vip* found = tables->vips->find({family, address[0], address[1]});
  if (found == nullptr) return 0;
  *vip = found->state;
  return 1;
}

RF_INLINE uint16_t rf_tables_fragment(const struct rf_tables* tables, const struct rf_fragment_key* key, uint64_t now_ns) {
  return tables->fragments->find(*key, now_ns);
}

RF_INLINE void rf_tables_remember_fragment(const struct rf_tables* tables, const struct rf_fragment_key* key, uint16_t node, uint64_t now_ns) {
  tables->fragments->put(*key, node, now_ns);
}
