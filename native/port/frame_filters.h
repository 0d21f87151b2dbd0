// Which of the port's sockets gets a frame of the NIC's, as classic BPF programs that the kernel runs. Each frame to the front MAC is taken by exactly
// one of the two. They say where a frame goes, not whether it is right: that is rf_steer's.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "../neighbor/arp.h"

namespace rainfront {

// ARP; neighbour solicitations and advertisements to the front MAC, to a solicited-node group or to all nodes; also behind VLAN tags.
std::vector<sock_filter> neighborFilter(const Mac& front_mac);

// Everything else to the front MAC. The NIC's own traffic belongs to the kernel alone.
std::vector<sock_filter> packetFilter(const Mac& front_mac);

}  // namespace rainfront
