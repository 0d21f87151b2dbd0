// The rings and the front port over real veth pairs.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include "port_fixture.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

Bytes takeover() { return arpFrame({kBroadcast, nodeMac(1), ArpOperation::request, nodeMac(1), {}, kVip, kVip}); }

}  // namespace

TEST_CASE("frames that an unplugged link does not take are thrown away, and later ones go out") {
  if (!inOwnNamespace()) return;
  Cable cable;
  Listener listener("there");
  TransmitRing ring("here");
  const Bytes frame = ethernet(kStranger, nodeMac(1), 0x88b5, Bytes(50, 7));
  for (int i = 0; i < 5; i++) REQUIRE(ring.put(frame) == TransmitRing::Put::ok);
  CHECK(ring.flush() == 0);
  CHECK(listener.take(5, kPatience_ms).size() == 5);

  cable.pull();
  uint32_t taken = 0;
  for (int i = 0; i < 3000; i++) taken += ring.put(frame) == TransmitRing::Put::ok ? 1 : 0;
  CHECK(ring.flush() == taken);
  CHECK(taken > 0);

  cable.plug();
  for (int round = 0; round < 3; round++) {
    REQUIRE(ring.put(frame) == TransmitRing::Put::ok);
    CHECK(ring.flush() == 0);
  }
  CHECK(listener.take(3, kPatience_ms).size() == 3);
  CHECK(listener.take(1).empty());
}

TEST_CASE("a port announces and answers while its lease is valid, and falls silent by itself") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  CHECK(f.listener.hears(takeover()));
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));

  f.port->setLease(0);
  (void)f.listener.take(100);
  sendFrom("there", arpQuestion());
  CHECK(f.counts(RF_COUNT_arp_lease_void, 1));
  CHECK(f.listener.take(1).empty());
}

TEST_CASE("what could not be announced while the link was down is not said later, when it is no longer true") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.cable.pull();
  f.own();
  while (f.counters.read(RF_COUNT_drop_tx_full) == 0) std::this_thread::yield();
  f.give({theirs(ipv4Address(kVip))});
  f.cable.plug();
  CHECK(f.listener.take(1).empty());
}

TEST_CASE("a port whose link went down and came back works, and does not spin") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  f.cable.pull();
  REQUIRE(ip("link set here down"));
  while (f.counters.read(RF_COUNT_link_errors) == 0) std::this_thread::yield();
  REQUIRE(ip("link set here up"));
  f.cable.plug();
  (void)f.listener.take(100);
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  CHECK(f.listener.take(1).size() <= 1);  // 200 ms, unless an announcement comes
  ::getrusage(RUSAGE_SELF, &after);
  const auto cpu_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1'000'000 + after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                      (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1'000'000 + after.ru_stime.tv_usec - before.ru_stime.tv_usec;
  CHECK(cpu_us < 100'000);
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));
}
