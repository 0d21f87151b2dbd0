// What this node remembers of flows, for all its ports: who handles them. Ports look flows up without locks; whoever writes waits for the other writers, which are the ports
// themselves at a flow's first packets, and the control plane with what other nodes say. The same in the kernel: native/xdp/tables.bpf.h.
#pragma once

#include <bit>
#include <mutex>

#include "../port/inheriting_mutex.h"
#include "flow_store.h"
#include "flow_table.h"

namespace rainfront {

class FlowMap final : public FlowStore {
 public:
  // Throws as FlowTable does.
  explicit FlowMap(const FlowCapacities& capacities, FlowTable::Pages pages = FlowTable::Pages::kHuge)
      : established_(capacities.established, kLives, pages), opening_(capacities.opening, kLives, pages) {}

  // enum rf_flow_place.
  int find(const rf_flow_key& key, uint64_t hash, uint64_t now_ns, rf_found_flow* found) const override {
    if (findIn(established_, key, hash, now_ns, found)) return RF_FLOW_ESTABLISHED;
    return findIn(opening_, key, hash, now_ns, found) ? RF_FLOW_OPENING : RF_FLOW_UNKNOWN;
  }

  void put(const rf_flow_key& key, uint64_t hash, const rf_assignment& a, int place, uint64_t now_ns) override {
    const std::lock_guard guard(writing_);
    tableOf(place).insert(key, hash, std::bit_cast<uint64_t>(a), now_ns);
  }

  std::optional<SeenFlow> peek(const rf_flow_key& key, uint64_t hash, uint64_t now_ns) const override {
    for (const int place : {RF_FLOW_ESTABLISHED, RF_FLOW_OPENING}) {
      if (const auto seen = tableOf(place).peek(key, hash, now_ns)) return seenIn(place, *seen);
    }
    return std::nullopt;
  }

  void forEach(uint64_t now_ns, const std::function<bool(const SeenFlow&)>& visit) const override {
    for (const int place : {RF_FLOW_ESTABLISHED, RF_FLOW_OPENING}) {
      if (!tableOf(place).forEach(now_ns, [&](const FlowSight& seen) { return visit(seenIn(place, seen)); })) return;
    }
  }

  // Among those that open. If it is there: `a` becomes what is there.
  void admit(const rf_flow_key& key, uint64_t hash, rf_assignment* a, uint64_t now_ns) {
    const std::lock_guard guard(writing_);
    rf_found_flow known{};
    if (find(key, hash, now_ns, &known) != RF_FLOW_UNKNOWN) *a = known.assignment;
    else opening_.insert(key, hash, std::bit_cast<uint64_t>(*a), now_ns);
  }

  void forget(const rf_flow_key& key, uint64_t hash, int place) {
    const std::lock_guard guard(writing_);
    if (place == RF_FLOW_ESTABLISHED) (void)established_.remove(key, hash);
    (void)opening_.remove(key, hash);
  }

 private:
  static constexpr FlowTable::Lives kLives = {RF_LIFE_OPENING_NS, RF_LIFE_CLOSING_NS, RF_LIFE_DATAGRAM_NS, RF_LIFE_STREAM_NS};

  static bool findIn(const FlowTable& table, const rf_flow_key& key, uint64_t hash, uint64_t now_ns, rf_found_flow* found) {
    const FlowRead read = table.look(key, hash, now_ns);
    if (read.value == 0) return false;
    *found = {std::bit_cast<rf_assignment>(read.value), read.periods};
    return true;
  }

  static SeenFlow seenIn(int place, const FlowSight& seen) { return {seen.key, std::bit_cast<rf_assignment>(seen.value), place, seen.idle_ns}; }

  FlowTable& tableOf(int place) { return place == RF_FLOW_OPENING ? opening_ : established_; }
  const FlowTable& tableOf(int place) const { return place == RF_FLOW_OPENING ? opening_ : established_; }

  FlowTable established_;
  FlowTable opening_;
  InheritingMutex writing_;
};

static_assert(sizeof(rf_assignment) == sizeof(uint64_t) && std::endian::native == std::endian::little, "a life is in a value's highest bits");

}  // namespace rainfront
