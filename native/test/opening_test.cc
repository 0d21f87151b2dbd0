// The buckets of flows that open, as the XDP program keeps them.
#include "../xdp/opening.h"

#include <doctest/doctest.h>

namespace {

constexpr uint64_t kNow_ns = 1000 * RF_SECOND_NS;
constexpr uint64_t kTick_ns = uint64_t{1} << RF_OPENING_TICK_SHIFT;

rf_flow_key keyOf(uint32_t n) { return {{0, 1}, {0, 2}, n, 0x0800, 6}; }
// Of one bucket, with tags that differ.
uint64_t hashOf(uint32_t n) { return uint64_t{n} * 2 << 32; }
rf_assignment assignmentTo(uint16_t node) { return {1, node, 0, 0}; }

void put(rf_opening_bucket& bucket, uint32_t n, uint64_t now_ns, uint16_t node = 1) {
  const rf_flow_key key = keyOf(n);
  const rf_assignment assignment = assignmentTo(node);
  rf_opening_put(&bucket, &key, hashOf(n), &assignment, now_ns);
}

// The node, or 0.
uint16_t find(rf_opening_bucket& bucket, uint32_t n, uint64_t now_ns) {
  const rf_flow_key key = keyOf(n);
  rf_found_flow found{};
  return rf_opening_find(&bucket, &key, hashOf(n), now_ns, &found) ? found.assignment.node : uint16_t{0};
}

}  // namespace

TEST_CASE("a flow that opens is found until it is forgotten, and put again in its own place") {
  rf_opening_bucket bucket{};
  CHECK(find(bucket, 1, kNow_ns) == 0);
  put(bucket, 1, kNow_ns, 3);
  put(bucket, 2, kNow_ns, 4);
  put(bucket, 1, kNow_ns, 5);
  CHECK(find(bucket, 1, kNow_ns) == 5);
  CHECK(find(bucket, 2, kNow_ns) == 4);
  const rf_flow_key key = keyOf(1);
  rf_opening_forget(&bucket, &key, hashOf(1));
  CHECK(find(bucket, 1, kNow_ns) == 0);
  CHECK(find(bucket, 2, kNow_ns) == 4);
}

TEST_CASE("one more flow than a bucket has room for drives out the one that was seen least recently") {
  rf_opening_bucket bucket{};
  for (uint32_t n = 1; n <= RF_OPENING_SLOTS; n++) put(bucket, n, kNow_ns + n * kTick_ns);
  for (uint32_t n = 1; n <= RF_OPENING_SLOTS; n++) CHECK(find(bucket, n, kNow_ns + 10 * kTick_ns) == 1);
  // Seen again a period later, the first one is not the oldest any more.
  const uint64_t later_ns = kNow_ns + 2 * RF_SECOND_NS;
  CHECK(find(bucket, 1, later_ns) == 1);
  put(bucket, 100, later_ns);
  CHECK(find(bucket, 1, later_ns) == 1);
  CHECK(find(bucket, 2, later_ns) == 0);
  CHECK(find(bucket, 3, later_ns) == 1);
  CHECK(find(bucket, 100, later_ns) == 1);
}

TEST_CASE("a flow that another CPU has seen, whose time is ahead, is not taken for the oldest") {
  rf_opening_bucket bucket{};
  put(bucket, 1, kNow_ns + 4 * kTick_ns);
  for (uint32_t n = 2; n <= RF_OPENING_SLOTS; n++) put(bucket, n, kNow_ns - n * kTick_ns);
  put(bucket, 100, kNow_ns);
  CHECK(find(bucket, 1, kNow_ns) == 1);
  CHECK(find(bucket, RF_OPENING_SLOTS, kNow_ns) == 0);
}

TEST_CASE("a flow that opens outlives its last packet by a minute") {
  rf_opening_bucket bucket{};
  put(bucket, 1, kNow_ns);
  CHECK(find(bucket, 1, kNow_ns + RF_LIFE_OPENING_NS - RF_SECOND_NS) == 1);
  CHECK(find(bucket, 1, kNow_ns + 2 * RF_LIFE_OPENING_NS - 2 * RF_SECOND_NS) == 1);
  CHECK(find(bucket, 1, kNow_ns + 4 * RF_LIFE_OPENING_NS) == 0);
}

TEST_CASE("who finds a flow first in a period is told so") {
  rf_opening_bucket bucket{};
  put(bucket, 1, kNow_ns);
  const rf_flow_key key = keyOf(1);
  rf_found_flow found{};
  const uint64_t next_ns = ((kNow_ns >> RF_PERIOD_SHIFT) + 1) << RF_PERIOD_SHIFT;
  REQUIRE(rf_opening_find(&bucket, &key, hashOf(1), next_ns - kTick_ns, &found));
  CHECK(found.periods == 0);
  REQUIRE(rf_opening_find(&bucket, &key, hashOf(1), next_ns, &found));
  CHECK(found.periods > 0);
  REQUIRE(rf_opening_find(&bucket, &key, hashOf(1), next_ns + kTick_ns, &found));
  CHECK(found.periods == 0);
}

TEST_CASE("who admits a flow that another was sooner with gets what is there, unless that has outlived itself") {
  rf_opening_bucket bucket{};
  const rf_flow_key key = keyOf(1);
  rf_assignment mine = assignmentTo(2);
  put(bucket, 1, kNow_ns, 3);
  rf_opening_admit(&bucket, &key, hashOf(1), &mine, kNow_ns);
  CHECK(mine.node == 3);
  mine = assignmentTo(2);
  rf_opening_admit(&bucket, &key, hashOf(1), &mine, kNow_ns + 2 * RF_LIFE_OPENING_NS);
  CHECK(mine.node == 2);
  CHECK(find(bucket, 1, kNow_ns + 2 * RF_LIFE_OPENING_NS) == 2);
}

TEST_CASE("of two flows whose hashes cannot be told apart the newer one is kept") {
  rf_opening_bucket bucket{};
  const rf_flow_key first = keyOf(1), second = keyOf(2);
  const rf_assignment to_first = assignmentTo(1), to_second = assignmentTo(2);
  rf_opening_put(&bucket, &first, hashOf(1), &to_first, kNow_ns);
  rf_opening_put(&bucket, &second, hashOf(1), &to_second, kNow_ns);
  rf_found_flow found{};
  CHECK(!rf_opening_find(&bucket, &first, hashOf(1), kNow_ns, &found));
  CHECK(rf_opening_find(&bucket, &second, hashOf(1), kNow_ns, &found));
  CHECK(found.assignment.node == 2);
}
