#include "neighbor_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "frame_filters.h"
#include "packet_socket.h"

namespace rainfront {

NeighborSocket::NeighborSocket(const std::string& interface, const Mac& front_mac) : fd_(openPacketSocket()) {
  const int on = 1;
  askForTags(fd_);
  setPacketOption(fd_, PACKET_QDISC_BYPASS, &on, sizeof on, "PACKET_QDISC_BYPASS");
  setPacketOption(fd_, PACKET_IGNORE_OUTGOING, &on, sizeof on, "PACKET_IGNORE_OUTGOING");
  attachFilter(fd_, neighborFilter(front_mac));
  bindPacketSocket(fd_, interface, ETH_P_ALL);
}

bool NeighborSocket::send(std::span<const uint8_t> frame) const {
  return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
}

std::optional<std::span<const uint8_t>> NeighborSocket::receive() { return receivePacket(fd_, buffer_); }

uint32_t NeighborSocket::takeDropped() {
  tpacket_stats stats{};
  socklen_t size = sizeof stats;
  return ::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0 ? 0 : stats.tp_drops;
}

}  // namespace rainfront
