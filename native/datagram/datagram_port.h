// N UDP sockets, one per local address, and a timer, as one file descriptor to wait for. No threads: whoever owns the event loop calls
// receive() when the descriptor is readable. Used by native/addon/datagram_port_binding.cc.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "counters.h"
#include "peers.h"
#include "receiver.h"
#include "sender.h"
#include "timer.h"
#include "udp_socket.h"

namespace rainfront::datagram {

struct DatagramPortOptions {
  std::vector<uint32_t> addresses;  // network order; the index is the path
  uint16_t port;                    // the same here and at all peers
  std::vector<Peer> peers;
  int buffer_bytes;  // of each socket, in each direction
  // Memory that stays where it is while the port lives.
  std::span<uint8_t> incoming;
  std::span<Arrival> arrivals;
  std::span<const uint8_t> outgoing;
  std::span<const Departure> departures;
};

struct Wake {
  uint32_t count;  // arrivals
  bool timer;
};

class DatagramPort {
 public:
  // Throws PortError with the name of the system's error.
  explicit DatagramPort(const DatagramPortOptions& options);

  // Readable when receive() has something to say.
  int fd() const { return epoll_.get(); }

  // Overwrites the incoming slab with what has come, a bounded number of packets, and says whether the timer is due. Does not block. A due
  // timer waits for datagrams that have come before it, for a bounded number of calls. Until done(), setting the timer costs nothing.
  Wake receive();
  void done() { timer_.release(); }

  bool flush(std::size_t count) { return sender_.flush(count, sockets_); }
  void setTimer(int64_t at_ns) { timer_.set(at_ns); }
  uint64_t counter(Counter counter) const;

 private:
  void watch(int fd, uint32_t tag);

  Counters counters_;
  Peers peers_;
  Fd epoll_;
  Timer timer_;
  std::vector<UdpSocket> sockets_;
  Receiver receiver_;
  Sender sender_;
  std::size_t first_ = 0;  // whose turn it is to be read first
  unsigned timer_waited_ = 0;
};

}  // namespace rainfront::datagram
