#include "receive_ring.h"

#include <linux/if_ether.h>
#include <sys/socket.h>

namespace rainfront {

namespace {

// How long the kernel waits for a block to fill before it hands it over as it is: the latency that the ring may add to a lone frame.
constexpr uint32_t kBlockTimeout_ms = 1;
constexpr uint32_t kFrameBytes = 2048;

}  // namespace

ReceiveRing::ReceiveRing(const ReceiveOptions& options)
    : fd_(openPacketSocket()), block_bytes_(options.block_bytes), blocks_(options.blocks) {
  int version = TPACKET_V3;
  setPacketOption(fd_, PACKET_VERSION, &version, sizeof version, "TPACKET_V3");
  int ignore_outgoing = 1;
  setPacketOption(fd_, PACKET_IGNORE_OUTGOING, &ignore_outgoing, sizeof ignore_outgoing, "PACKET_IGNORE_OUTGOING");
  // Before every frame, for the tag that is put back.
  unsigned reserve = RF_VLAN_TAG_LEN;
  setPacketOption(fd_, PACKET_RESERVE, &reserve, sizeof reserve, "PACKET_RESERVE");
  if (!options.filter.empty()) attachFilter(fd_, options.filter);

  tpacket_req3 request{};
  request.tp_block_size = block_bytes_;
  request.tp_block_nr = blocks_;
  request.tp_frame_size = kFrameBytes;
  request.tp_frame_nr = block_bytes_ / kFrameBytes * blocks_;
  request.tp_retire_blk_tov = kBlockTimeout_ms;
  setPacketOption(fd_, PACKET_RX_RING, &request, sizeof request, "a receive ring");
  map_ = Mapping(fd_.get(), std::size_t{block_bytes_} * blocks_);

  if (options.promiscuous) enterPromiscuous(fd_, options.interface);
  bindPacketSocket(fd_, options.interface, ETH_P_ALL);
}

uint32_t ReceiveRing::takeDropped() {
  tpacket_stats_v3 stats{};
  socklen_t size = sizeof stats;
  if (::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0) return 0;
  return stats.tp_drops;
}

}  // namespace rainfront
