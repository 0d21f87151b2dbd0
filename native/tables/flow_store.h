// What is remembered of flows, wherever that is: in this process's memory (flow_map.h), or in the kernel's (xdp/xdp_flows.h). For threads that are not on the packets' way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "../steer/assignment.h"
#include "../steer/flow_key.h"

namespace rainfront {

struct FlowCapacities {
  std::size_t established;
  std::size_t opening;  // a flood of packets that nobody answers has no more than these
};

// A flow as somebody sees it who only looks.
struct SeenFlow {
  rf_flow_key key;
  rf_assignment assignment;
  int place;         // enum rf_flow_place
  uint64_t idle_ns;  // since its last packet, to within a tenth of a second
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

  // For who only looks: no flow lives longer for that.
  virtual std::optional<SeenFlow> peek(const rf_flow_key& key, uint64_t hash, uint64_t now_ns) const = 0;
  // All, in no order, each as it is when it is come to, until `visit` says false. What is moved to another place meanwhile is missed, or visited twice.
  virtual void forEach(uint64_t now_ns, const std::function<bool(const SeenFlow&)>& visit) const = 0;
};

}  // namespace rainfront
