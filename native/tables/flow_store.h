// What is remembered of flows, wherever that is: in this process's memory (flow_map.h), or in the kernel's (xdp/xdp_flows.h). For threads that are not on the packets' way.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../steer/assignment.h"
#include "../steer/flow_key.h"

namespace rainfront {

struct FlowCapacities {
  std::size_t established;
  std::size_t opening;  // a flood of packets that nobody answers has no more than these
};

class FlowStore {
 public:
  FlowStore() = default;
  virtual ~FlowStore() = default;
  FlowStore(const FlowStore&) = delete;
  FlowStore& operator=(const FlowStore&) = delete;

  // enum rf_flow_place. `hash`: rf_flow_hash, here and below.
  virtual int find(const rf_flow_key& key, uint64_t hash, uint64_t now_ns, rf_found_flow* found) const = 0;
  virtual void put(const rf_flow_key& key, uint64_t hash, const rf_assignment& assignment, int place, uint64_t now_ns) = 0;
};

}  // namespace rainfront
