// What a NIC's driver says that it can do for XDP (the kernel's netdev family of generic netlink, Linux 6.3 and newer).
#pragma once

#include <cstdint>
#include <optional>

namespace rainfront {

// Whether the driver runs XDP programs itself, as the NIC is set up now (queues, LRO). Nothing: the kernel does not say, or the NIC is gone.
std::optional<bool> driverRunsXdp(unsigned nic_index);

}  // namespace rainfront
