#include "entry.h"

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
  (void)rf_flow_key_set(&key, &packet, tuple.source_port, tuple.destination_port);
  return key;
}

}  // namespace rainfront
