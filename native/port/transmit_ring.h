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

  // Sends what was put since the last flush. Never blocks. What the driver does not take, tried twice, is thrown away: a frame that stayed
  // in the ring would go out when nobody expects it any more (the link comes back). Returns how many frames that were.
  [[nodiscard]] uint32_t flush();

 private:
  bool fits(std::span<const uint8_t> frame);
  bool send() const;
  uint8_t* slot(uint32_t index) const;
  uint32_t discard();

  const std::string interface_;
  Fd fd_;
  uint32_t mtu_;
  Mapping map_;
  uint32_t frames_;
  uint32_t next_ = 0;
  bool unflushed_ = false;
};

}  // namespace rainfront
