// The kernel takes a frame's outer VLAN tag off before a packet socket sees the frame, and tells it apart. Used where frames are taken in.
#pragma once

#include <linux/if_packet.h>

#include <cstdint>
#include <cstring>

#include "../steer/ethernet.h"

namespace rainfront {

struct VlanTag {
  bool present;
  uint16_t tpid;
  uint16_t tci;
};

// By the words of a ring's frame header, or of the auxiliary data of a received message.
inline VlanTag vlanTagOf(uint32_t status, uint16_t tpid, uint16_t tci) {
  const bool has_tpid = (status & TP_STATUS_VLAN_TPID_VALID) != 0;
  return {(status & TP_STATUS_VLAN_VALID) != 0, has_tpid ? tpid : static_cast<uint16_t>(RF_ETHERTYPE_VLAN), tci};
}

// Puts the tag back behind the MACs of the frame at `frame`, before which there is room for it. Returns where the frame begins now.
inline uint8_t* putTagBack(uint8_t* frame, const VlanTag& tag) {
  uint8_t* begin = frame - RF_VLAN_TAG_LEN;
  std::memmove(begin, frame, 2 * RF_MAC_LEN);
  rf_store16(begin + 2 * RF_MAC_LEN, tag.tpid);
  rf_store16(begin + 2 * RF_MAC_LEN + 2, tag.tci);
  return begin;
}

}  // namespace rainfront
