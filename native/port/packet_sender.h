// Single frames out of an interface, now or never: an announcement that waited for a congested or unplugged NIC could outlive the lease that it was
// given under.
#pragma once

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string>

#include "packet_socket.h"

namespace rainfront {

class PacketSender {
 public:
  // Throws PortError.
  explicit PacketSender(const std::string& interface) : fd_(openPacketSocket()) {
    const int on = 1;
    setPacketOption(fd_, PACKET_QDISC_BYPASS, &on, sizeof on, "PACKET_QDISC_BYPASS");
    bindPacketSocket(fd_, interface, 0);  // of no protocol: it receives nothing
  }

  // False: the driver did not take it, and it is gone.
  [[nodiscard]] bool send(std::span<const uint8_t> frame) const {
    return ::send(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT) == static_cast<ssize_t>(frame.size());
  }

 private:
  Fd fd_;
};

}  // namespace rainfront
