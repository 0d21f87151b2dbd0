// What one input of the fuzzer says: the tables, and frames with the time between them. Any bytes can be read as such an input; the seeds are
// written in the same layout by test/vectors/seeds.ts. All numbers are big-endian.
//
//   self 2 | authority 2 (0: no view, 0xffff: spread) | flags 1 (1: the lease is valid, 2: node 9 has left, 4: no IPv6 VIP) | members 1 (bit n: node n + 1)
//   then for each frame: flags 1 | seconds 2 | nanoseconds 4 | length 2 | so many bytes
//   flags: 1: its ICMPv6 checksum is made right; the upper seven bits: of how many units of 4 bytes an error about it quotes, 0 for all
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "../test/packets.h"

namespace rainfront::fuzz {

using test::Bytes;

inline constexpr std::size_t kHeadLen = 6;
inline constexpr std::size_t kFrameHeadLen = 9;
inline constexpr std::size_t kFramesMax = 16;
// Shorter than RF_FRAME_LEN_MAX, so that a frame may grow by a tag.
inline constexpr std::size_t kFrameLenMax = 0x2fff;
inline constexpr uint16_t kSpread = 0xffff;

struct InputFrame {
  uint64_t after_ns;  // since the one before it
  bool mend;
  std::size_t quoted;
  Bytes bytes;
};

struct Input {
  uint16_t self;
  uint16_t authority;
  bool has_lease;
  bool has_departed;
  bool has_ipv6;
  uint8_t members;
  std::vector<InputFrame> frames;
};

// A frame that says more than there is gets what there is. Too short for the tables: no frames.
inline Input readInput(std::span<const uint8_t> bytes) {
  Input input{1, 1, true, false, true, 0, {}};
  if (bytes.size() < kHeadLen) return input;
  const uint16_t self = rf_load16(bytes.data());
  input.self = self == 0 ? 1 : self;
  input.authority = rf_load16(bytes.data() + 2);
  input.has_lease = (bytes[4] & 1) != 0;
  input.has_departed = (bytes[4] & 2) != 0;
  input.has_ipv6 = (bytes[4] & 4) == 0;
  input.members = bytes[5];
  bytes = bytes.subspan(kHeadLen);
  while (bytes.size() >= kFrameHeadLen && input.frames.size() < kFramesMax) {
    const uint8_t* head = bytes.data();
    const std::size_t said = rf_load16(head + 7);
    bytes = bytes.subspan(kFrameHeadLen);
    const std::size_t length = std::min({said, bytes.size(), kFrameLenMax});
    const uint64_t after_ns = rf_load16(head + 1) * 1'000'000'000ull + rf_load32(head + 3);
    const std::size_t quoted = head[0] < 2 ? kFrameLenMax : std::size_t{4} * (head[0] >> 1);
    input.frames.push_back({after_ns, (head[0] & 1) != 0, quoted, Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length))});
    bytes = bytes.subspan(length);
  }
  return input;
}

}  // namespace rainfront::fuzz
