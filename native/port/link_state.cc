#include "link_state.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "fd.h"
#include "packet_socket.h"

namespace rainfront {

void setLinkUp(const std::string& interface, bool is_up) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) throw PortError("RF_PORT_SOCKET", "cannot open a control socket", errno);
  (void)interfaceIndex(interface);
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) throw PortError("RF_NIC_MISSING", "asking for the flags of " + interface, errno);
  request.ifr_flags = static_cast<short>(is_up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) throw PortError("RF_NO_PRIVILEGE", "taking " + interface + (is_up ? " up" : " down"), errno);
}

}  // namespace rainfront
