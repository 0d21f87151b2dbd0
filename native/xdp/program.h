// The XDP program in the kernel, with its maps: loaded from the binary itself. Who attaches it to a NIC is to come; so far frames can be run through it
// (BPF_PROG_TEST_RUN), which is how the vectors check it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../neighbor/arp.h"
#include "../port/fd.h"
#include "../steer/counters.h"
#include "../tables/steering_tables.h"
#include "layout.h"

struct bpf_object;

namespace rainfront {

class XdpProgram {
 public:
  // Throws PortError: RF_NO_PRIVILEGE, RF_XDP_LOAD.
  XdpProgram(const Mac& front_mac, const Mac& nic_mac);

  void setTables(const SteeringTable& table);
  void setVips(const VipSet& vips);
  void setLease(uint64_t until_ns);

  // Of all CPUs together.
  std::vector<uint64_t> counters() const;

  struct Run {
    int action;  // enum xdp_action
    std::vector<uint8_t> frame;
  };
  // One frame, of 14 bytes or more, at that time by CLOCK_BOOTTIME.
  Run run(std::span<const uint8_t> frame, uint64_t now_ns);

 private:
  struct Close {
    void operator()(bpf_object* object) const;
  };

  int map(const char* name) const;
  template <typename Key, typename Value>
  void put(const char* map_name, const Key& key, const Value& value);
  template <typename Value>
  void putAll(const char* map_name, std::vector<Value> values);
  void putState();

  std::unique_ptr<bpf_object, Close> object_;
  rf_port_state state_{};
};

}  // namespace rainfront
