// Packets for the bench: any number of UDP flows, each told by its number, drawn at random into few frames, so that it is the tables that miss the cache.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "../steer/bytes.h"
#include "../steer/flow_key.h"
#include "../tables/flow_batch.h"

namespace rainfront::bench {

inline constexpr uint32_t kFlows_max = 1u << 24;
// 64 bytes on the wire, without the check sequence.
inline constexpr std::size_t kFrame_len = 60;
// Packets that are made at once, untimed, and then timed as one. Their frames and keys stay in the first or second level of the cache.
inline constexpr std::size_t kBatches = 8;
inline constexpr std::size_t kStretch = kBatches * FlowBatch::kFrames_max;

inline constexpr std::array<uint8_t, 6> kFrontMac = {0x02, 0xaa, 0xbb, 0xcc, 0, 1};

class Traffic {
 public:
  explicit Traffic(uint32_t flows) : flows_(flows) {
    for (std::size_t i = 0; i < kStretch; i++) {
      uint8_t* frame = frames_[i].data();
      std::memcpy(frame, kFrontMac.data(), kFrontMac.size());
      std::memcpy(frame + 6, "\x52\x54\x00\x12\x34\x56\x08\x00", 8);
      std::memcpy(frame + 14, "\x45\x00\x00\x2e\x12\x34\x00\x00\x40\x11\x00\x00\x00\x00\x00\x00\xc6\x33\x64\x14", 20);
      std::memcpy(frame + 34, "\x00\x00\x01\xbb\x00\x1a\x00\x00", 8);
      bytes_[i] = rf_bytes_of(frame, kFrame_len);
    }
  }

  // The next stretch of packets, of flows in random order.
  void draw() {
    for (std::size_t i = 0; i < kStretch; i++) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      set(i, static_cast<uint32_t>((state_ >> 32) * uint64_t{flows_} >> 32));
    }
  }
  // Of the flows from `first` on, each once; those behind the last one are the last one again.
  void enumerate(uint32_t first) {
    for (uint32_t i = 0; i < kStretch; i++) set(i, std::min(first + i, flows_ - 1));
  }

  std::span<const rf_bytes> batch(std::size_t n) const { return std::span(bytes_).subspan(n * FlowBatch::kFrames_max, FlowBatch::kFrames_max); }
  const rf_flow_key* keys(std::size_t n) const { return &keys_[n * FlowBatch::kFrames_max]; }

 private:
  void set(std::size_t i, uint32_t flow) {
    uint8_t* frame = frames_[i].data();
    const uint32_t address = 0x0a000000u | flow;
    const uint16_t port = static_cast<uint16_t>((flow * 0x9e3779b1u) >> 16 | 1024);
    rf_store16(frame + 26, static_cast<uint16_t>(address >> 16));
    rf_store16(frame + 28, static_cast<uint16_t>(address));
    rf_store16(frame + 34, port);
    keys_[i] = {{0, address}, {0, 0xc6336414}, static_cast<uint32_t>(port) << 16 | 443, RF_ETHERTYPE_IPV4, RF_PROTO_UDP};
  }

  uint32_t flows_;
  uint64_t state_ = 0x2545f4914f6cdd1d;
  std::array<std::array<uint8_t, 64>, kStretch> frames_{};
  std::array<rf_bytes, kStretch> bytes_{};
  std::array<rf_flow_key, kStretch> keys_{};
};

}  // namespace rainfront::bench
