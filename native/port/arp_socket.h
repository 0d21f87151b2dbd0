// ARP in: a plain packet socket beside the ring. ARP is rare and must be answered at once, also while the ring is full of traffic: a
// flood must not make a VIP's owner look dead.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "fd.h"

namespace rainfront {

class ArpSocket {
 public:
  struct Frame {
    std::span<const uint8_t> bytes;  // valid until the next receive
    bool tagged;                     // came with an 802.1Q tag, which the kernel has taken off
  };

  explicit ArpSocket(const std::string& interface);

  int fd() const { return fd_.get(); }

  // The next frame, or nothing when none is waiting.
  std::optional<Frame> receive();

  // Frames for which the socket had no room since the last call.
  uint32_t takeDropped();

 private:
  Fd fd_;
  std::array<uint8_t, 128> buffer_{};
};

}  // namespace rainfront
