// What this node remembers of flows, for all its ports: who handles them. Ports look flows up without locks; whoever writes waits for the other writers, which are the ports
// themselves at a flow's first packets, and the control plane with what other nodes say. The same in the kernel: native/xdp/tables.bpf.h.
#pragma once

#include <pthread.h>

#include <bit>
#include <mutex>

#include "flow_store.h"
#include "flow_table.h"

namespace rainfront {

// Who holds it has the priority of whoever waits: ports are real-time threads, and the control plane is not.
class InheritingMutex {
 public:
  InheritingMutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex_, &attributes);
    pthread_mutexattr_destroy(&attributes);
  }
  ~InheritingMutex() { pthread_mutex_destroy(&mutex_); }
  InheritingMutex(const InheritingMutex&) = delete;
  InheritingMutex& operator=(const InheritingMutex&) = delete;
  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_;
};

class FlowMap final : public FlowStore {
 public:
  // Throws as FlowTable does.
  explicit FlowMap(const FlowCapacities& capacities) : established_(capacities.established, kLives), opening_(capacities.opening, kLives) {}

  // enum rf_flow_place.
  int find(const rf_flow_key& key, uint64_t hash, uint64_t now_ns, rf_assignment* found) const override {
    if (const uint64_t value = established_.find(key, hash, now_ns)) {
      *found = std::bit_cast<rf_assignment>(value);
      return RF_FLOW_ESTABLISHED;
    }
    const uint64_t value = opening_.find(key, hash, now_ns);
    if (value == 0) return RF_FLOW_UNKNOWN;
    *found = std::bit_cast<rf_assignment>(value);
    return RF_FLOW_OPENING;
  }

  void put(const rf_flow_key& key, uint64_t hash, const rf_assignment& a, int place, uint64_t now_ns) override {
    const std::lock_guard guard(writing_);
    tableOf(place).insert(key, hash, std::bit_cast<uint64_t>(a), now_ns);
  }

  // Among those that open. If it is there: `a` becomes what is there.
  void admit(const rf_flow_key& key, uint64_t hash, rf_assignment* a, uint64_t now_ns) {
    const std::lock_guard guard(writing_);
    rf_assignment known{};
    if (find(key, hash, now_ns, &known) != RF_FLOW_UNKNOWN) *a = known;
    else opening_.insert(key, hash, std::bit_cast<uint64_t>(*a), now_ns);
  }

  void forgetOpening(const rf_flow_key& key, uint64_t hash) {
    const std::lock_guard guard(writing_);
    (void)opening_.remove(key, hash);
  }

  const FlowTable& established() const { return established_; }
  const FlowTable& opening() const { return opening_; }

 private:
  static constexpr FlowTable::Lives kLives = {RF_LIFE_OPENING_NS, RF_LIFE_CLOSING_NS, RF_LIFE_DATAGRAM_NS, RF_LIFE_STREAM_NS};

  FlowTable& tableOf(int place) { return place == RF_FLOW_OPENING ? opening_ : established_; }

  FlowTable established_;
  FlowTable opening_;
  InheritingMutex writing_;
};

static_assert(sizeof(rf_assignment) == sizeof(uint64_t) && std::endian::native == std::endian::little, "a life is in a value's highest bits");

}  // namespace rainfront
