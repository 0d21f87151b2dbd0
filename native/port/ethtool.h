// What a driver is asked and told by the kernel's ethtool calls.
#pragma once

#include <net/if.h>

#include <cstdint>
#include <string>

#include "fd.h"

namespace rainfront {

class Ethtool {
 public:
  // Throws PortError: RF_NIC_MISSING, RF_PORT_SOCKET.
  explicit Ethtool(const std::string& interface);

  // By an ETHTOOL_G… command that answers with one word. 0 where the driver does not know it, too.
  uint32_t get(uint32_t command);
  // The caller reads back what the driver made of it.
  void set(uint32_t command, uint32_t data);
  // Such as `veth`; empty where there is none.
  std::string driver();

 private:
  bool call(void* request);

  Fd fd_;
  ifreq request_{};
};

}  // namespace rainfront
