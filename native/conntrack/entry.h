// A connection as the kernel's firewall knows it: what one node tells another, so that this can go on with it.
#pragma once

#include <cstdint>

#include "../steer/flow_key.h"
#include "../tables/vip_set.h"

namespace rainfront {

// One direction. Of ICMP queries both ports are the identifier, and `icmp` has type and code.
struct ConntrackTuple {
  Address source, destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint16_t icmp = 0;  // type in the upper half
  uint8_t protocol = 0;

  auto operator<=>(const ConntrackTuple&) const = default;
};

// The flow's name on the wire, as the packet path makes it of a packet of this direction.
rf_flow_key flowKeyOf(const ConntrackTuple& tuple);

struct ConntrackEntry {
  // From who began it. With NAT `reply` is not its reverse.
  ConntrackTuple original, reply;
  uint32_t status = 0;     // enum ip_conntrack_status
  uint32_t timeout_s = 0;  // until it is forgotten
  uint32_t mark = 0;
  // TCP alone.
  uint8_t tcp_state = 0;  // enum tcp_conntrack
  uint8_t window_scale_original = 0;
  uint8_t window_scale_reply = 0;
  uint8_t tcp_flags_original = 0;
  uint8_t tcp_flags_reply = 0;

  auto operator<=>(const ConntrackEntry&) const = default;
};

// Of TCP: both ends have ended it, or one has reset it. Another one may begin between them.
bool isOver(const ConntrackEntry& entry);

}  // namespace rainfront
