#include "neighbor_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "frame_filters.h"
#include "packet_socket.h"
#include "vlan_tag.h"

namespace rainfront {

NeighborSocket::NeighborSocket(const std::string& interface, const Mac& front_mac) : fd_(openPacketSocket()) {
  const int on = 1;
  setPacketOption(fd_, PACKET_AUXDATA, &on, sizeof on, "PACKET_AUXDATA");
  setPacketOption(fd_, PACKET_QDISC_BYPASS, &on, sizeof on, "PACKET_QDISC_BYPASS");
  setPacketOption(fd_, PACKET_IGNORE_OUTGOING, &on, sizeof on, "PACKET_IGNORE_OUTGOING");
  attachFilter(fd_, neighborFilter(front_mac));
  bindPacketSocket(fd_, interface, ETH_P_ALL);
}

bool NeighborSocket::send(std::span<const uint8_t> frame) const {
  return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
}

std::optional<std::span<const uint8_t>> NeighborSocket::receive() {
  uint8_t* frame = buffer_.data() + RF_VLAN_TAG_LEN;
  const std::size_t room = buffer_.size() - RF_VLAN_TAG_LEN;
  iovec into{frame, room};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control;
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(fd_.get(), &message, 0);
  if (length < 0) return std::nullopt;
  const std::size_t kept = std::min(static_cast<std::size_t>(length), room);
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_PACKET || at->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(at), sizeof aux);
    const VlanTag tag = vlanTagOf(aux.tp_status, aux.tp_vlan_tpid, aux.tp_vlan_tci);
    if (tag.present) return std::span<const uint8_t>(putTagBack(frame, tag), kept + RF_VLAN_TAG_LEN);
  }
  return std::span<const uint8_t>(frame, kept);
}

uint32_t NeighborSocket::takeDropped() {
  tpacket_stats stats{};
  socklen_t size = sizeof stats;
  return ::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0 ? 0 : stats.tp_drops;
}

}  // namespace rainfront
