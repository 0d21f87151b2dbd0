// Sends what JavaScript laid out in the outgoing slab, with as few system calls as there can be. Used by datagram_port.cc.
//
// Datagrams that follow each other on one path to one peer with one size (the last may be smaller) go to the kernel as one packet that it
// splits (UDP_SEGMENT); packets of one path go with one sendmmsg. What the kernel does not take is counted by cause and given up: the
// protocol sends again what matters.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <vector>

#include "peers.h"
#include "udp_socket.h"

namespace rainfront::datagram {

// One datagram to send, as JavaScript writes it: three words of an Int32Array.
struct Departure {
  int32_t peer;
  int32_t offset;
  int32_t length;
};
static_assert(sizeof(Departure) == 12);

class Sender {
 public:
  Sender(std::span<const uint8_t> slab, std::span<const Departure> departures, const Peers& peers, uint16_t port, Counters& counters);
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Sends the first `count` departures; those that are not within the slab, or to no peer, are not sent (false).
  bool flush(std::size_t count, std::span<UdpSocket> sockets);

 private:
  struct alignas(cmsghdr) Control {
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  };
  // A packet of one or more datagrams: which part of `pieces_` it is.
  struct Packet {
    std::size_t first;
    std::size_t parts;
    std::size_t bytes;
    int32_t peer;
  };

  bool isValid(const Departure& departure) const;
  void collect(std::size_t count, int32_t path, uint32_t mergeable_bytes_max);
  bool fits(const Packet& packet, const Departure& next, uint32_t mergeable_bytes_max) const;
  void send(UdpSocket& socket);
  // What to do about the first packet from `at` on, which the kernel did not take: the number of packets that are settled.
  std::size_t onRefusal(UdpSocket& socket, std::size_t at, int error_number);
  void sendParts(UdpSocket& socket, const Packet& packet);
  msghdr header(const Packet& packet);

  std::span<const uint8_t> slab_;
  std::span<const Departure> departures_;
  const Peers& peers_;
  Counters& counters_;
  std::vector<sockaddr_in> addresses_;
  // Of the path at hand.
  std::vector<Packet> packets_;
  std::vector<iovec> pieces_;
  std::vector<mmsghdr> headers_;
  std::vector<Control> controls_;
};

}  // namespace rainfront::datagram
