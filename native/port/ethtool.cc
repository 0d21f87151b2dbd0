#include "ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "packet_socket.h"

namespace rainfront {

Ethtool::Ethtool(const std::string& interface) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  if (fd_.get() < 0) throw PortError("RF_PORT_SOCKET", "cannot open a control socket", errno);
  (void)interfaceIndex(interface);
  std::strncpy(request_.ifr_name, interface.c_str(), IFNAMSIZ - 1);
}

bool Ethtool::call(void* request) {
  request_.ifr_data = static_cast<char*>(request);
  return ::ioctl(fd_.get(), SIOCETHTOOL, &request_) == 0;
}

uint32_t Ethtool::get(uint32_t command) {
  ethtool_value value{command, 0};
  return call(&value) ? value.data : 0;
}

void Ethtool::set(uint32_t command, uint32_t data) {
  ethtool_value value{command, data};
  (void)call(&value);
}

std::string Ethtool::driver() {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  if (!call(&info)) return "";
  return {info.driver, ::strnlen(info.driver, sizeof info.driver)};
}

}  // namespace rainfront
