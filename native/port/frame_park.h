// Frames that wait for what decides about them: later fragments for the first one of their datagram, packets of flows for what other nodes know. Few, and not long.
// The port's thread's alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "../steer/flow.h"
#include "../tables/flow_bucket.h"

namespace rainfront {

inline bool isSameKey(const rf_fragment_key& a, const rf_fragment_key& b) { return rf_fragment_key_equal(&a, &b) != 0; }
inline bool isSameKey(const rf_flow_key& a, const rf_flow_key& b) { return flowWords(a) == flowWords(b); }

// What frames wait for is named by `Key`.
template <class Key>
class FramePark {
 public:
  static constexpr std::size_t kFrames_max = 256;
  static constexpr uint64_t kPatience_ns = 10'000'000;


  // A copy of the frame. False: no room.
  [[nodiscard]] bool put(const Key& key, std::span<const uint8_t> frame, uint64_t now_ns) {
    if (parked_.size() >= kFrames_max) return false;
    parked_.push_back({key, now_ns + kPatience_ns, {frame.begin(), frame.end()}});
    return true;
  }

  // Those of this key, in the order in which they came.
  std::vector<std::vector<uint8_t>> take(const Key& key) {
    std::vector<std::vector<uint8_t>> taken;
    for (Parked& one : parked_) {
      if (isSameKey(one.key, key)) taken.push_back(std::move(one.frame));
    }
    std::erase_if(parked_, [&](const Parked& one) { return isSameKey(one.key, key); });
    return taken;
  }

  // Of those that wait, each once.
  std::vector<Key> keys() const {
    std::vector<Key> keys;
    for (const Parked& one : parked_) {
      const bool is_known = std::any_of(keys.begin(), keys.end(), [&](const Key& key) { return isSameKey(key, one.key); });
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
    Key key;
    uint64_t until_ns;
    std::vector<uint8_t> frame;
  };
  std::deque<Parked> parked_;
};

using FragmentPark = FramePark<rf_fragment_key>;
using FlowPark = FramePark<rf_flow_key>;

}  // namespace rainfront
