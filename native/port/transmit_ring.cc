#include "transmit_ring.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cstring>

#include "../steer/ethernet.h"

namespace rainfront {

namespace {

constexpr uint32_t kFrameBytes = 2048;
constexpr uint32_t kBlockBytes = 1u << 18;
constexpr uint32_t kDataOffset = TPACKET2_HDRLEN - sizeof(sockaddr_ll);
constexpr uint32_t kDataBytes_max = kFrameBytes - kDataOffset;

}  // namespace

TransmitRing::TransmitRing(const std::string& interface, uint32_t frames)
    : interface_(interface), fd_(openPacketSocket()), mtu_(interfaceMtu(fd_, interface)), frames_(frames) {
  int version = TPACKET_V2;
  setPacketOption(fd_, PACKET_VERSION, &version, sizeof version, "TPACKET_V2");
  int on = 1;
  // Straight to the driver: a queueing discipline would only add a second queue behind this one. The netdev egress hook of nftables is
  // passed by as well, so a rule there that blocks the kernel's own ARP does not block the guard's.
  setPacketOption(fd_, PACKET_QDISC_BYPASS, &on, sizeof on, "PACKET_QDISC_BYPASS");
  // Skip a frame that the driver refuses instead of stopping at it.
  setPacketOption(fd_, PACKET_LOSS, &on, sizeof on, "PACKET_LOSS");

  tpacket_req request{};
  request.tp_block_size = kBlockBytes;
  request.tp_block_nr = frames / (kBlockBytes / kFrameBytes);
  request.tp_frame_size = kFrameBytes;
  request.tp_frame_nr = frames;
  setPacketOption(fd_, PACKET_TX_RING, &request, sizeof request, "a transmit ring");
  map_ = Mapping(fd_.get(), std::size_t{frames} * kFrameBytes);
  bindPacketSocket(fd_, interface, 0);
}

uint8_t* TransmitRing::slot(uint32_t index) const { return map_.at(std::size_t{index} * kFrameBytes); }

// The kernel skips longer ones without a word. It gives room beyond the MTU to one 802.1Q tag.
bool TransmitRing::fits(std::span<const uint8_t> frame) {
  if (frame.size() <= RF_ETH_HEADER_LEN + mtu_) return true;
  const uint32_t tag_len = rf_load16(frame.data() + 2 * RF_MAC_LEN) == RF_ETHERTYPE_VLAN ? RF_VLAN_TAG_LEN : 0;
  const auto over = [&] { return frame.size() > RF_ETH_HEADER_LEN + tag_len + mtu_; };
  if (over()) mtu_ = interfaceMtu(fd_, interface_);  // it may have grown
  return !over();
}

TransmitRing::Put TransmitRing::put(std::span<const uint8_t> frame) {
  if (frame.size() > kDataBytes_max || !fits(frame)) return Put::oversize;
  auto* header = reinterpret_cast<tpacket2_hdr*>(slot(next_));
  if (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE) {
    (void)send();  // one more try for those that are waiting; the flush at the batch's end settles what becomes of them
    if (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE) return Put::full;
  }
  header->tp_len = static_cast<uint32_t>(frame.size());
  std::memcpy(reinterpret_cast<uint8_t*>(header) + kDataOffset, frame.data(), frame.size());
  __atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
  next_ = (next_ + 1) % frames_;
  unflushed_ = true;
  return Put::ok;
}

bool TransmitRing::send() const { return ::send(fd_.get(), nullptr, 0, MSG_DONTWAIT) >= 0; }

uint32_t TransmitRing::flush() {
  if (!unflushed_) return 0;
  unflushed_ = false;
  if (send() || send()) return 0;
  return discard();
}

// Takes back, newest first, what the kernel has not begun to send; `next_` then is where the kernel goes on.
uint32_t TransmitRing::discard() {
  uint32_t count = 0;
  while (count < frames_) {
    const uint32_t last = (next_ + frames_ - 1) % frames_;
    auto* header = reinterpret_cast<tpacket2_hdr*>(slot(last));
    if (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_SEND_REQUEST) break;
    __atomic_store_n(&header->tp_status, TP_STATUS_AVAILABLE, __ATOMIC_RELEASE);
    next_ = last;
    count++;
  }
  return count;
}

}  // namespace rainfront
