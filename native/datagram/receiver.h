// Fills the incoming slab from a port's sockets, with recvmmsg, and lists what came: packets that the kernel merged are listed as the
// datagrams that they were. Used by datagram_port.cc.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <vector>

#include "peers.h"
#include "udp_socket.h"

namespace rainfront::datagram {

// A slot takes the largest packet that there is, merged or not.
inline constexpr std::size_t kSlotBytes = 65536;
// Datagrams in one merged packet, by the kernel's limits.
inline constexpr std::size_t kPartsMax = 128;

// One received datagram, as JavaScript reads it: four words of an Int32Array.
struct Arrival {
  int32_t offset;
  int32_t length;
  int32_t path;
  int32_t peer;  // -1: not from a peer's address
};
static_assert(sizeof(Arrival) == 16);

class Receiver {
 public:
  // One slot and kPartsMax arrivals at least.
  Receiver(std::span<uint8_t> slab, std::span<Arrival> arrivals, const Peers& peers, Counters& counters);
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // Forgets what was listed.
  void clear() { slots_used_ = arrivals_used_ = 0; }
  // Takes up to `share` packets; false when the socket may have more.
  bool drain(const UdpSocket& socket, int32_t path, std::size_t share);

  std::size_t slotsLeft() const { return packets_.size() - slots_used_; }
  uint32_t count() const { return static_cast<uint32_t>(arrivals_used_); }

 private:
  struct alignas(cmsghdr) Control {
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
  };

  void list(std::size_t slot, int32_t path);
  void rearm(std::size_t slot);

  std::span<uint8_t> slab_;
  std::span<Arrival> arrivals_;
  const Peers& peers_;
  Counters& counters_;
  std::vector<mmsghdr> packets_;
  std::vector<iovec> places_;
  std::vector<sockaddr_in> sources_;
  std::vector<Control> controls_;
  std::size_t slots_used_ = 0;
  std::size_t arrivals_used_ = 0;
};

}  // namespace rainfront::datagram
