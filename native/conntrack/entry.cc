#include "entry.h"

#include <linux/netfilter/nf_conntrack_tcp.h>
#include <netinet/in.h>

#include "../steer/flow.h"

namespace rainfront {

rf_flow_key flowKeyOf(const ConntrackTuple& tuple) {
  rf_packet packet{};
  packet.family = tuple.source.family;
  packet.protocol = tuple.protocol;
  packet.src[0] = tuple.source.high;
  packet.src[1] = tuple.source.low;
  packet.dst[0] = tuple.destination.high;
  packet.dst[1] = tuple.destination.low;
  rf_flow_key key{};
  // A firewall may know ports of more protocols (of DCCP, or calls of GRE).
  const bool has_ports = rf_l4_header_len(&packet, 0) > 0;
  (void)rf_flow_key_set(&key, &packet, has_ports ? tuple.source_port : uint16_t{0}, has_ports ? tuple.destination_port : uint16_t{0});
  return key;
}

bool isOver(const ConntrackEntry& entry) {
  return entry.original.protocol == IPPROTO_TCP && (entry.tcp_state == TCP_CONNTRACK_TIME_WAIT || entry.tcp_state == TCP_CONNTRACK_CLOSE);
}

}  // namespace rainfront
