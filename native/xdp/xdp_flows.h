// What a node's XDP programs remember of flows, in the kernel: all of them use the same maps, which outlive the process as the programs do.
#pragma once

#include <span>

#include "../port/fd.h"
#include "../tables/flow_store.h"

namespace rainfront {

class XdpFlows final : public FlowStore {
 public:
  // Those that an earlier process's program uses on one of these NICs, if they have the same room; else new ones. Throws PortError: RF_NO_PRIVILEGE, RF_XDP_LOAD.
  explicit XdpFlows(const FlowCapacities& capacities, std::span<const unsigned> nic_indices = {});

  int find(const rf_flow_key& key, uint64_t hash, uint64_t now_ns, rf_found_flow* found) const override;
  void put(const rf_flow_key& key, uint64_t hash, const rf_assignment& assignment, int place, uint64_t now_ns) override;
  void forget();

  int establishedFd() const { return established_.get(); }
  int openingFd() const { return opening_.get(); }

 private:
  void adopt(unsigned nic_index, const FlowCapacities& capacities);
  uint32_t bucketOf(uint64_t hash) const;
  void putOpening(const rf_flow_key& key, uint64_t hash, const rf_assignment& assignment, uint64_t now_ns);

  Fd established_;
  Fd opening_;
};

}  // namespace rainfront
