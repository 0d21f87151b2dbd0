// A port's counters: 64-bit words in memory that JavaScript owns and reads without a call. One writer (the port's thread).
#pragma once

#include <atomic>
#include <cstdint>

#include "../steer/counters.h"

namespace rainfront {

class Counters {
 public:
  explicit Counters(uint64_t* words) : words_(words) {}

  void add(int counter, uint64_t n = 1) {
    // Relaxed load and store instead of fetch_add: there is one writer, and readers only need untorn words.
    std::atomic_ref<uint64_t> word(words_[counter]);
    word.store(word.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  uint64_t read(int counter) const { return std::atomic_ref<uint64_t>(words_[counter]).load(std::memory_order_relaxed); }

 private:
  uint64_t* words_;
};

}  // namespace rainfront
