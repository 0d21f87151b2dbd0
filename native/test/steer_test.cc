#include <doctest/doctest.h>

#include <memory>

#include "../tables/steering_tables.h"
#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint64_t kNow_ns = 1'000'000;

// Node 1's tables in a view of nodes 1 and 2; every slot belongs to `authority`.
struct Fixture {
  std::atomic<uint64_t> lease_until_ns{kNow_ns + 1};
  std::unique_ptr<SteeringTable> tables = std::make_unique<SteeringTable>();
  VipSet vips;
  mutable FragmentTable fragments{{5, 6}};

  explicit Fixture(uint16_t authority) {
    tables->self = 1;
    tables->has_view = true;
    tables->secret = {1, 2};
    tables->slots.fill(authority);
    tables->members.set(1);
    tables->members.set(2);
  }

  rf_verdict steer(const Bytes& frame) const {
    const Bytes exact(frame);
    const Mac mac = nodeMac(1);
    const rf_tables all{tables.get(), &vips, &fragments, &lease_until_ns};
    rf_work work;
    const rf_bytes bytes = bytesOf(exact);
    return rf_steer(&bytes, bytes, mac.data(), &all, kNow_ns, &work);
  }

  uint16_t dropCause(const Bytes& frame) const {
    const rf_verdict verdict = steer(frame);
    REQUIRE(verdict.kind == RF_VERDICT_DROP);
    return verdict.cause;
  }
};

Bytes fragment(uint16_t bits) { return ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV4, ipv4({.fragment = bits}, udp(1, 2, 40))); }

Bytes frameFrom(const Mac& source) { return ethernet(nodeMac(1), source, RF_ETHERTYPE_IPV4, ipv4({RF_PROTO_UDP}, udp(1, 2))); }

}  // namespace

TEST_CASE("a flow whose authority is this node passes to its kernel") {
  const rf_verdict verdict = Fixture(1).steer(frameFrom(kStranger));
  CHECK(verdict.kind == RF_VERDICT_PASS);
  CHECK_FALSE(verdict.from_peer);
}

TEST_CASE("a flow of another authority is relayed to it") {
  const rf_verdict verdict = Fixture(2).steer(frameFrom(kStranger));
  CHECK(verdict.kind == RF_VERDICT_RELAY);
  CHECK(verdict.node == 2);
}

TEST_CASE("a relayed frame passes at its authority and is not relayed again elsewhere") {
  const rf_verdict verdict = Fixture(1).steer(frameFrom(nodeMac(2)));
  CHECK(verdict.kind == RF_VERDICT_PASS);
  CHECK(verdict.from_peer);
  CHECK(Fixture(2).dropCause(frameFrom(nodeMac(2))) == RF_COUNT_drop_relay_bound);
}

TEST_CASE("frames of a node that is not in the view are dropped") {
  CHECK(Fixture(1).dropCause(frameFrom(nodeMac(3))) == RF_COUNT_drop_stale_peer);
}

TEST_CASE("a node that left the view is known in whatever place of the list, and none is where the list is empty") {
  Fixture fixture(1);
  CHECK(fixture.dropCause(frameFrom(nodeMac(0))) == RF_COUNT_drop_stale_peer);
  for (rf_departed& departed : fixture.tables->departed) {
    departed = {kNow_ns + 1, 3, {}};
    CHECK(fixture.steer(frameFrom(nodeMac(3))).kind == RF_VERDICT_PASS);
    departed = {kNow_ns, 3, {}};
    CHECK(fixture.dropCause(frameFrom(nodeMac(3))) == RF_COUNT_drop_stale_peer);
    departed = {kNow_ns + 1, 4, {}};
  }
}

TEST_CASE("a frame that comes back to its sender is dropped") {
  CHECK(Fixture(1).dropCause(frameFrom(nodeMac(1))) == RF_COUNT_drop_looped);
}

TEST_CASE("nothing is steered without a view or with the lease run out") {
  Fixture no_view(1);
  no_view.tables->has_view = false;
  CHECK(no_view.dropCause(frameFrom(kStranger)) == RF_COUNT_drop_no_view);
  Fixture stale(1);
  stale.lease_until_ns = kNow_ns;
  CHECK(stale.dropCause(frameFrom(kStranger)) == RF_COUNT_drop_lease_void);
}

TEST_CASE("a later fragment is not steered without a view, though its first one is remembered") {
  Fixture fixture(2);
  CHECK(fixture.steer(fragment(0x2000)).kind == RF_VERDICT_RELAY);
  CHECK(fixture.steer(fragment(6)).kind == RF_VERDICT_RELAY);
  fixture.tables->has_view = false;
  CHECK(fixture.dropCause(fragment(6)) == RF_COUNT_drop_no_view);
}

TEST_CASE("the slot comes from the keyed hash, so that another secret steers another way") {
  Fixture fixture(1);
  for (std::size_t slot = 0; slot < kMaglevSlots; slot++) fixture.tables->slots[slot] = slot % 2 == 0 ? 1 : 2;
  int moved = 0;
  for (uint16_t port = 1; port <= 200; port++) {
    const Bytes frame = ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV4, ipv4({RF_PROTO_UDP}, udp(port, 53)));
    fixture.tables->secret = {1, 2};
    const auto before = fixture.steer(frame).kind;
    fixture.tables->secret = {3, 4};
    moved += fixture.steer(frame).kind != before ? 1 : 0;
  }
  CHECK(moved > 50);
  CHECK(moved < 150);
}

TEST_CASE("a relay changes the MACs and nothing else") {
  Bytes frame = frameFrom(kStranger);
  const Bytes before = frame;
  const Mac own = nodeMac(1);
  rf_relay_rewrite(frame.data(), own.data(), 2, RF_RELAY_ASK);
  CHECK(macAt(frame.data()) == nodeMac(2));
  CHECK(macAt(frame.data() + 6) == own);
  CHECK(std::equal(frame.begin() + 12, frame.end(), before.begin() + 12));
}
