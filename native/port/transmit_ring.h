// Frames out: a TPACKET_V2 transmit ring. `put` copies a frame in, `flush` makes the kernel send what is there.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "fd.h"
#include "packet_socket.h"

namespace rainfront {

class TransmitRing {
 public:
  enum class Put { ok, full, oversize };

  explicit TransmitRing(const std::string& interface, uint32_t frames = 1024);

  Put put(std::span<const uint8_t> frame);

  // Sends what was put since the last flush. Never blocks.
  void flush();

  // Frames that the kernel took from the ring but refused to send since the last call.
  uint32_t takeRefused();

 private:
  Fd fd_;
  Mapping map_;
  uint32_t frames_;
  uint32_t next_ = 0;
  uint32_t unflushed_ = 0;
  uint32_t refused_ = 0;
};

}  // namespace rainfront
