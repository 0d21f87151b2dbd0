#include <doctest/doctest.h>

#include <initializer_list>

#include "../steer/maglev.h"
#include "../steer/siphash.h"

namespace {

// Words 0x0706050403020100, 0x0f0e..., and so on: the bytes 0, 1, 2, … in little-endian order.
uint64_t hashOfCount(unsigned words, rf_hash_key key) {
  uint64_t message[5];
  for (unsigned w = 0; w < 5; w++) {
    message[w] = 0;
    for (unsigned b = 0; b < 8; b++) message[w] |= static_cast<uint64_t>(8 * w + b) << (8 * b);
  }
  return rf_siphash13(message, words, &key);
}

}  // namespace

// Expected values from CPython 3.11, whose hash of bytes is SipHash-1-3 (PYTHONHASHSEED 0 and 42).
TEST_CASE("SipHash-1-3 agrees with an independent implementation") {
  CHECK(hashOfCount(1, {0, 0}) == 0xead411e67ebe2eeaull);
  CHECK(hashOfCount(2, {0, 0}) == 0x8972188433a5c5b7ull);
  CHECK(hashOfCount(5, {0, 0}) == 0x95bc321ab41d8206ull);
  const rf_hash_key key = {0xdc504fd368cd90afull, 0xb920bb9ffe99e9c1ull};
  CHECK(hashOfCount(1, key) == 0x60866c3c108c6afbull);
  CHECK(hashOfCount(2, key) == 0x339176f3ac59ce05ull);
  CHECK(hashOfCount(5, key) == 0xde03d697bf20e38aull);
}

TEST_CASE("a flow's slot is its hash modulo the number of slots") {
  const auto agrees = [](uint64_t hash) { return rf_maglev_slot(hash) == hash % RF_MAGLEV_SLOTS; };
  // Digits of 16 bits at their ends, where a sum leaves the range.
  for (const uint64_t a : {0u, 1u, 0xfffeu, 0xffffu})
    for (const uint64_t b : {0u, 1u, 0xfffeu, 0xffffu})
      for (const uint64_t c : {0u, 1u, 0xfffeu, 0xffffu})
        for (const uint64_t d : {0u, 1u, 0xfffeu, 0xffffu}) CHECK(agrees(a << 48 | b << 32 | c << 16 | d));
  uint64_t hash = 1;
  bool all = true;
  for (int i = 0; i < 1'000'000; i++) {
    hash = hash * 6364136223846793005u + 1442695040888963407u;
    all = all && agrees(hash ^ hash >> 29);
  }
  CHECK(all);
}
