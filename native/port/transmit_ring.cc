#include "transmit_ring.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cstring>

namespace rainfront {

namespace {

constexpr uint32_t kFrameBytes = 2048;
constexpr uint32_t kBlockBytes = 1u << 18;
constexpr uint32_t kDataOffset = TPACKET2_HDRLEN - sizeof(sockaddr_ll);
constexpr uint32_t kDataBytes_max = kFrameBytes - kDataOffset;

}  // namespace

TransmitRing::TransmitRing(const std::string& interface, uint32_t frames) : fd_(openPacketSocket()), frames_(frames) {
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

TransmitRing::Put TransmitRing::put(std::span<const uint8_t> frame) {
  if (frame.size() > kDataBytes_max) return Put::oversize;
  auto* header = reinterpret_cast<tpacket2_hdr*>(map_.at(std::size_t{next_} * kFrameBytes));
  uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
  if (status != TP_STATUS_AVAILABLE && status != TP_STATUS_WRONG_FORMAT) {
    flush();
    status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
    if (status != TP_STATUS_AVAILABLE && status != TP_STATUS_WRONG_FORMAT) return Put::full;
  }
  if (status == TP_STATUS_WRONG_FORMAT) refused_++;
  header->tp_len = static_cast<uint32_t>(frame.size());
  std::memcpy(reinterpret_cast<uint8_t*>(header) + kDataOffset, frame.data(), frame.size());
  __atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
  next_ = (next_ + 1) % frames_;
  unflushed_++;
  return Put::ok;
}

void TransmitRing::flush() {
  if (unflushed_ == 0) return;
  unflushed_ = 0;
  // An error (link down, driver queue full) leaves frames in the ring; they go with the next flush, or `put` reports the ring as full.
  (void)::send(fd_.get(), nullptr, 0, MSG_DONTWAIT);
}

uint32_t TransmitRing::takeRefused() { return std::exchange(refused_, 0); }

}  // namespace rainfront
