#include "offloads.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "fd.h"
#include "packet_socket.h"

namespace rainfront {

namespace {

struct Feature {
  uint32_t bit, get, set;
};

constexpr std::array<Feature, 4> kFeatures = {{
    {kReceiveMerge, ETHTOOL_GGRO, ETHTOOL_SGRO},
    {kTransmitSegment, ETHTOOL_GTSO, ETHTOOL_STSO},
    {kTransmitSegment, ETHTOOL_GGSO, ETHTOOL_SGSO},
    {kTransmitChecksum, ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM},
}};

class Ethtool {
 public:
  explicit Ethtool(const std::string& interface) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (fd_.get() < 0) throw PortError("RF_PORT_SOCKET", "cannot open a control socket", errno);
    (void)interfaceIndex(interface);
    std::strncpy(request_.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  }

  bool call(ethtool_value& value) {
    request_.ifr_data = reinterpret_cast<char*>(&value);
    return ::ioctl(fd_.get(), SIOCETHTOOL, &request_) == 0;
  }

  uint32_t get(uint32_t command) {
    ethtool_value value{command, 0};
    return call(value) ? value.data : 0;
  }

  void set(uint32_t command, uint32_t data) {
    ethtool_value value{command, data};
    (void)call(value);  // the caller reads back what the driver made of it
  }

 private:
  Fd fd_;
  ifreq request_{};
};

}  // namespace

uint32_t readOffloads(const std::string& interface) {
  Ethtool ethtool(interface);
  uint32_t on = 0;
  for (const Feature& feature : kFeatures) {
    if (ethtool.get(feature.get) != 0) on |= feature.bit;
  }
  if ((ethtool.get(ETHTOOL_GFLAGS) & ETH_FLAG_LRO) != 0) on |= kReceiveMergeHw;
  return on;
}

uint32_t writeOffloads(const std::string& interface, uint32_t mask, uint32_t wanted) {
  Ethtool ethtool(interface);
  for (const Feature& feature : kFeatures) {
    if ((mask & feature.bit) != 0) ethtool.set(feature.set, (wanted & feature.bit) != 0 ? 1 : 0);
  }
  if ((mask & kReceiveMergeHw) != 0) {
    const uint32_t flags = ethtool.get(ETHTOOL_GFLAGS);
    ethtool.set(ETHTOOL_SFLAGS, (wanted & kReceiveMergeHw) != 0 ? flags | ETH_FLAG_LRO : flags & ~static_cast<uint32_t>(ETH_FLAG_LRO));
  }
  return readOffloads(interface);
}

}  // namespace rainfront
