#include "packet_socket.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "vlan_tag.h"

namespace rainfront {

Fd openPacketSocket() {
  int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    const bool denied = errno == EPERM || errno == EACCES;
    throw PortError(denied ? "RF_NO_PRIVILEGE" : "RF_PORT_SOCKET", "cannot open a packet socket", errno);
  }
  return Fd(fd);
}

unsigned interfaceIndex(const std::string& interface) {
  unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) throw PortError("RF_NIC_MISSING", "no interface " + interface, errno);
  return index;
}

void bindPacketSocket(const Fd& fd, const std::string& interface, uint16_t protocol) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(protocol);
  address.sll_ifindex = static_cast<int>(interfaceIndex(interface));
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    throw PortError("RF_PORT_SOCKET", "cannot bind to " + interface, errno);
}

void setPacketOption(const Fd& fd, int option, const void* value, std::size_t size, const char* what) {
  if (::setsockopt(fd.get(), SOL_PACKET, option, value, static_cast<socklen_t>(size)) < 0)
    throw PortError("RF_PORT_RING", std::string("the kernel refused ") + what, errno);
}

void attachFilter(const Fd& fd, std::span<const sock_filter> program) {
  sock_fprog filter{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0)
    throw PortError("RF_PORT_SOCKET", "the kernel refused the packet filter", errno);
}

void askForTags(const Fd& fd) {
  const int on = 1;
  setPacketOption(fd, PACKET_AUXDATA, &on, sizeof on, "PACKET_AUXDATA");
}

std::optional<std::span<uint8_t>> receivePacket(const Fd& fd, std::span<uint8_t> buffer) {
  const std::span<uint8_t> frame = buffer.subspan(RF_VLAN_TAG_LEN);
  iovec into{frame.data(), frame.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))> control;
  msghdr message{};
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(fd.get(), &message, 0);
  if (length < 0) return std::nullopt;
  const std::size_t kept = std::min(static_cast<std::size_t>(length), frame.size());
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_PACKET || at->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(at), sizeof aux);
    const VlanTag tag = vlanTagOf(aux.tp_status, aux.tp_vlan_tpid, aux.tp_vlan_tci);
    if (tag.present) return std::span(putTagBack(frame.data(), tag), kept + RF_VLAN_TAG_LEN);
  }
  return frame.first(kept);
}

void enterPromiscuous(const Fd& fd, const std::string& interface) {
  packet_mreq request{};
  request.mr_ifindex = static_cast<int>(interfaceIndex(interface));
  request.mr_type = PACKET_MR_PROMISC;
  setPacketOption(fd, PACKET_ADD_MEMBERSHIP, &request, sizeof request, "promiscuous mode");
}

uint32_t interfaceMtu(const Fd& fd, const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return ::ioctl(fd.get(), SIOCGIFMTU, &request) < 0 ? 0 : static_cast<uint32_t>(request.ifr_mtu);
}

}  // namespace rainfront
