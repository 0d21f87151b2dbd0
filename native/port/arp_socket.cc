#include "arp_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "packet_socket.h"

namespace rainfront {

ArpSocket::ArpSocket(const std::string& interface) : fd_(openPacketSocket()) {
  const int on = 1;
  setPacketOption(fd_, PACKET_AUXDATA, &on, sizeof on, "PACKET_AUXDATA");
  setPacketOption(fd_, PACKET_QDISC_BYPASS, &on, sizeof on, "PACKET_QDISC_BYPASS");
  bindPacketSocket(fd_, interface, ETH_P_ARP);
}

bool ArpSocket::send(std::span<const uint8_t> frame) const {
  return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
}

std::optional<ArpSocket::Frame> ArpSocket::receive() {
  iovec into{buffer_.data(), buffer_.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control;
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(fd_.get(), &message, 0);
  if (length < 0) return std::nullopt;
  bool tagged = false;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_PACKET || at->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(at), sizeof aux);
    tagged = (aux.tp_status & TP_STATUS_VLAN_VALID) != 0;
  }
  return Frame{{buffer_.data(), std::min(static_cast<std::size_t>(length), buffer_.size())}, tagged};
}

uint32_t ArpSocket::takeDropped() {
  tpacket_stats stats{};
  socklen_t size = sizeof stats;
  return ::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0 ? 0 : stats.tp_drops;
}

}  // namespace rainfront
