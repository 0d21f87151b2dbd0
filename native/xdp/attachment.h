// Which XDP program a NIC runs, and changing that: ours outlives the daemon that attached it, so that a restart costs no packet, and nobody else's is
// ever replaced.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "program.h"

namespace rainfront {

struct AttachedXdp {
  uint32_t id;
  std::string name;
  bool is_ours;
  bool is_generic;
  Fd program;
  std::vector<Fd> maps;  // of ours
};

// Until when it serves, whoever attached it; 0: not by itself, or laid out in another way.
uint64_t leaseUntil_ns(const AttachedXdp& attached);

// Nothing: the NIC runs none. Throws PortError: RF_NO_PRIVILEGE, RF_XDP_ATTACH.
std::optional<AttachedXdp> attachedXdp(unsigned nic_index);

// Attaches `program` in place of ours that is `before`, if there is one; in the driver where it can do that. True: only in the kernel's generic place,
// behind the driver. Throws PortError: RF_XDP_TAKEN when somebody else's runs there, RF_XDP_ATTACH.
bool attachXdp(unsigned nic_index, const XdpProgram& program, const std::optional<AttachedXdp>& before);

// Takes ours off; false when none of ours was there.
bool detachXdp(unsigned nic_index);

}  // namespace rainfront
