// Frames in: a TPACKET_V3 ring shared with the kernel. `receive` walks one block that the kernel has closed and gives it back.
#pragma once

#include <linux/if_packet.h>

#include <cstdint>
#include <span>
#include <string>

#include "fd.h"
#include "packet_socket.h"
#include "vlan_tag.h"

namespace rainfront {

struct ReceiveOptions {
  std::string interface;
  std::span<const sock_filter> filter;  // empty: everything
  bool promiscuous = false;
  uint32_t block_bytes = 1u << 16;  // small: a block is handed over when it is full, so its size is latency under load
  uint32_t blocks = 256;
};

// A frame in the ring, with its tags; the bytes may be rewritten in place until the block is given back.
struct ReceivedFrame {
  std::span<uint8_t> bytes;
  bool truncated;      // longer than what the ring kept
  bool checksum_open;  // a virtual NIC left the transport checksum to be completed
};

class ReceiveRing {
 public:
  explicit ReceiveRing(const ReceiveOptions& options);

  int fd() const { return fd_.get(); }

  // Calls `each` for every frame of the next closed block. False when there is none.
  template <typename Each>
  bool receive(Each&& each) {
    auto* block = reinterpret_cast<tpacket_block_desc*>(map_.at(std::size_t{next_} * block_bytes_));
    if ((__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) return false;
    auto* at = reinterpret_cast<uint8_t*>(block) + block->hdr.bh1.offset_to_first_pkt;
    for (uint32_t n = block->hdr.bh1.num_pkts; n > 0; n--) {
      auto* header = reinterpret_cast<tpacket3_hdr*>(at);
      each(ReceivedFrame{bytesOf(*header),
                         header->tp_snaplen != header->tp_len,
                         (header->tp_status & TP_STATUS_CSUMNOTREADY) != 0});
      at += header->tp_next_offset;
    }
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    next_ = (next_ + 1) % blocks_;
    return true;
  }

  // Frames that the kernel could not put into the ring since the last call.
  uint32_t takeDropped();

 private:
  static std::span<uint8_t> bytesOf(tpacket3_hdr& header) {
    uint8_t* frame = reinterpret_cast<uint8_t*>(&header) + header.tp_mac;
    const VlanTag tag = vlanTagOf(header.tp_status, header.hv1.tp_vlan_tpid, static_cast<uint16_t>(header.hv1.tp_vlan_tci));
    if (!tag.present) return {frame, header.tp_snaplen};
    return {putTagBack(frame, tag), header.tp_snaplen + RF_VLAN_TAG_LEN};
  }

  Fd fd_;
  Mapping map_;
  uint32_t block_bytes_;
  uint32_t blocks_;
  uint32_t next_ = 0;
};

}  // namespace rainfront
