// One UDP socket of a datagram port, bound to one local address. IPv4 alone, like the ring's configuration.
#pragma once

#include <netinet/in.h>

#include <cstdint>

#include "../port/fd.h"
#include "counters.h"

namespace rainfront::datagram {

// Throws PortError with the name of the system's error as code, such as EADDRINUSE.
PortError systemError(const std::string& what, int error_number);

class UdpSocket {
 public:
  // Address in network order.
  UdpSocket(uint32_t address, uint16_t port, int buffer_bytes);

  int fd() const { return fd_.get(); }
  // Datagrams that the kernel dropped because the receive buffer was full, since the socket was opened.
  uint64_t overflow() const;

  // The largest datagram of which several may be handed to the kernel as one packet; 0 = none. Only ever falls.
  uint32_t mergeable_bytes_max() const { return mergeable_bytes_max_; }
  // The kernel refused a packet of several datagrams of that size. True when sending them one by one may help.
  bool onMergeRefused(int error_number, uint32_t datagram_bytes);

 private:
  Fd fd_;
  uint32_t mergeable_bytes_max_ = 65507;
};

}  // namespace rainfront::datagram
