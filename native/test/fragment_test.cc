#include <doctest/doctest.h>

#include "../port/frame_park.h"
#include "../tables/fragment_table.h"
#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint64_t kMs = 1'000'000;

rf_fragment_key keyFor(uint32_t id) { return {{0, 1}, {0, 2}, id, RF_ETHERTYPE_IPV4, RF_PROTO_UDP}; }

}  // namespace

TEST_CASE("fragments of a datagram are found for as long as a receiver waits for them") {
  FragmentTable table({1, 2});
  table.put(keyFor(7), 3, 0);
  CHECK(table.find(keyFor(7), 0) == 3);
  CHECK(table.find(keyFor(8), 0) == 0);
  CHECK(table.find(keyFor(7), FragmentTable::kLife_ns - 1) == 3);
  CHECK(table.find(keyFor(7), FragmentTable::kLife_ns) == 0);
  table.put(keyFor(7), 2, FragmentTable::kLife_ns);
  CHECK(table.find(keyFor(7), FragmentTable::kLife_ns) == 2);
}

TEST_CASE("a full table forgets the oldest, and never grows") {
  FragmentTable table({1, 2}, 1);
  for (uint32_t id = 1; id <= 5; id++) table.put(keyFor(id), 1, id);
  CHECK(table.find(keyFor(1), 5) == 0);
  for (uint32_t id = 2; id <= 5; id++) CHECK(table.find(keyFor(id), 5) == 1);
}

TEST_CASE("later fragments wait for their first one, in their order, and only a while") {
  FragmentPark park;
  CHECK(park.put(keyFor(1), Bytes{1}, 0));
  CHECK(park.put(keyFor(2), Bytes{2}, 1 * kMs));
  CHECK(park.put(keyFor(1), Bytes{3}, 2 * kMs));
  CHECK(park.nextExpiry_ns() == FragmentPark::kPatience_ns);
  CHECK(park.take(keyFor(1)) == std::vector<Bytes>{{1}, {3}});
  CHECK(park.take(keyFor(1)).empty());
  CHECK(park.expire(FragmentPark::kPatience_ns) == 0);
  CHECK(park.expire(1 * kMs + FragmentPark::kPatience_ns) == 1);
  CHECK_FALSE(park.nextExpiry_ns());
}

TEST_CASE("so many wait, and no more") {
  FragmentPark park;
  for (std::size_t n = 0; n < FragmentPark::kFrames_max; n++) CHECK(park.put(keyFor(1), Bytes{1}, 0));
  CHECK_FALSE(park.put(keyFor(1), Bytes{1}, 0));
  CHECK(park.take(keyFor(1)).size() == FragmentPark::kFrames_max);
  CHECK(park.put(keyFor(1), Bytes{1}, 0));
}
