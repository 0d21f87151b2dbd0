// A front port: what the control plane tells the data plane of one segment, whichever way its frames go. Made by front_port.h (AF_PACKET) and
// xdp/xdp_port.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "../neighbor/arp.h"
#include "../tables/steering_tables.h"
#include "../tables/vip_set.h"

namespace rainfront {

class FlowExchange;

struct PortOptions {
  std::string nic;    // the segment's interface
  std::string outer;  // the veth pair's end that is not the kernel's
  Mac front_mac;
  uint64_t* counters;  // RF_COUNTER_COUNT words that outlive the port
  // All ports of a node have the same. None: flows are not assigned.
  std::shared_ptr<FlowExchange> flows;
};

class Port {
 public:
  Port() = default;
  virtual ~Port() = default;
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  virtual void setTables(std::shared_ptr<const SteeringTable> tables) = 0;

  // Publishes the VIPs. On return nothing is answered any more for VIPs that are not in `vips`; false if that was not confirmed in time: whoever
  // deals with one frame was put aside by the scheduler between a look at the VIPs and the sending of it.
  [[nodiscard]] virtual bool setVips(VipSet vips) = 0;

  // On return nothing is answered any more by a lease that ran for longer; false: see setVips. Who gives its lease up says so to others, who do not wait.
  virtual bool setLease(uint64_t until_ns) = 0;

  // The lease in force, which may be one that an earlier process left; 0: none.
  virtual uint64_t leaseUntil_ns() const { return 0; }

  // Since which view (its number) a node is a member, as an earlier process said that a program of ours goes by; 0: none did, or the node is no member.
  virtual uint32_t memberSince(uint16_t) const { return 0; }

  // Announces all VIPs of this node again (after a merge).
  virtual void announceAgain() = 0;

  // Brings the counters' words up to date, where that is not done all the time.
  virtual void collectCounters() {}

  // Puts back on the NIC what somebody else has taken off it; false: it is there. Throws what opening does.
  virtual bool attachAgain() { return false; }

  // How its frames go, in a word for operators.
  virtual std::string mode() const = 0;

  // Ends it for good: what would outlive the process goes, too.
  virtual void remove() {}
};

}  // namespace rainfront
