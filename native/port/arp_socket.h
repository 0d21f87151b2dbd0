// ARP in and out: a plain packet socket beside the rings. ARP is rare and must be answered at once, also while the rings are full of
// traffic: a flood must not make a VIP's owner look dead. And what is sent goes out now or never: an answer that waited in a ring (for a
// congested or unplugged NIC) could outlive the lease that it was given under.
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

  // False: the driver did not take it, and it is gone.
  [[nodiscard]] bool send(std::span<const uint8_t> frame) const;

  // Frames for which the socket had no room since the last call.
  uint32_t takeDropped();

 private:
  Fd fd_;
  std::array<uint8_t, 128> buffer_{};
};

}  // namespace rainfront
