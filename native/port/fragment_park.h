// Later fragments that came before the first one of their datagram wait here for it: few, and not long. The port's thread's alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "../steer/flow.h"

namespace rainfront {

class FragmentPark {
 public:
  static constexpr std::size_t kFrames_max = 256;
  static constexpr uint64_t kPatience_ns = 10'000'000;

  // A copy of the frame. False: no room.
  [[nodiscard]] bool put(const rf_fragment_key& key, std::span<const uint8_t> frame, uint64_t now_ns) {
    if (parked_.size() >= kFrames_max) return false;
    parked_.push_back({key, now_ns + kPatience_ns, {frame.begin(), frame.end()}});
    return true;
  }

  // Those of this datagram, in the order in which they came.
  std::vector<std::vector<uint8_t>> take(const rf_fragment_key& key) {
    std::vector<std::vector<uint8_t>> taken;
    for (Parked& one : parked_) {
      if (rf_fragment_key_equal(&one.key, &key)) taken.push_back(std::move(one.frame));
    }
    std::erase_if(parked_, [&](const Parked& one) { return rf_fragment_key_equal(&one.key, &key); });
    return taken;
  }

  // Of those that wait, each once.
  std::vector<rf_fragment_key> keys() const {
    std::vector<rf_fragment_key> keys;
    for (const Parked& one : parked_) {
      const bool is_known = std::any_of(keys.begin(), keys.end(), [&](const rf_fragment_key& key) { return rf_fragment_key_equal(&key, &one.key); });
      if (!is_known) keys.push_back(one.key);
    }
    return keys;
  }

  // Gives up those that have waited long enough; how many.
  std::size_t expire(uint64_t now_ns) {
    std::size_t count = 0;
    for (; !parked_.empty() && parked_.front().until_ns <= now_ns; count++) parked_.pop_front();
    return count;
  }

  std::optional<uint64_t> nextExpiry_ns() const { return parked_.empty() ? std::nullopt : std::optional(parked_.front().until_ns); }

 private:
  struct Parked {
    rf_fragment_key key;
    uint64_t until_ns;
    std::vector<uint8_t> frame;
  };
  std::deque<Parked> parked_;
};

}  // namespace rainfront
