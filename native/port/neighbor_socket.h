// ARP and neighbour discovery in and out: a plain packet socket beside the rings. They are rare and must be answered at once, also while the rings are
// full of traffic: a flood must not make a VIP's owner look dead. And what is sent goes out now or never: an answer that waited in a ring (for a
// congested or unplugged NIC) could outlive the lease that it was given under.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "../neighbor/arp.h"
#include "fd.h"

namespace rainfront {

class NeighborSocket {
 public:
  NeighborSocket(const std::string& interface, const Mac& front_mac);

  int fd() const { return fd_.get(); }

  // The next frame with its tags, or nothing when none is waiting. Valid until the next one. Of frames that are longer than any whole neighbour
  // message, the beginning.
  std::optional<std::span<const uint8_t>> receive();

  // False: the driver did not take it, and it is gone.
  [[nodiscard]] bool send(std::span<const uint8_t> frame) const;

  // Frames for which the socket had no room since the last call.
  uint32_t takeDropped();

 private:
  Fd fd_;
  std::array<uint8_t, 256> buffer_{};
};

}  // namespace rainfront
