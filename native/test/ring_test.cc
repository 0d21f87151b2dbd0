// The rings and the front port over real veth pairs.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include "port_fixture.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

Bytes askFor(uint32_t vip) {
  const ArpFrame frame = writeArp({{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, kStranger, ArpOperation::request, kStranger, {}, 5, vip});
  return Bytes(frame.begin(), frame.end());
}

bool isAnswer(const Bytes& frame) {
  const auto arp = parseArp(frame);
  return arp && arp->operation == ArpOperation::reply && arp->sender_ip == kVip && arp->sender_mac == nodeMac(1);
}

}  // namespace

TEST_CASE("frames that an unplugged link does not take are thrown away, and later ones go out") {
  if (!inOwnNamespace()) return;
  Cable cable;
  Listener listener("there");
  TransmitRing ring("here");
  const Bytes frame = ethernet(kStranger, nodeMac(1), 0x88b5, Bytes(50, 7));
  for (int i = 0; i < 5; i++) REQUIRE(ring.put(frame) == TransmitRing::Put::ok);
  CHECK(ring.flush() == 0);
  CHECK(listener.take(5).size() == 5);

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
  CHECK(listener.take(10).size() == 3);
}

TEST_CASE("a port announces and answers while its lease is valid, and falls silent by itself") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  const auto announcements = f.listener.take(1);
  REQUIRE(announcements.size() == 1);
  CHECK(parseArp(announcements[0])->sender_mac == nodeMac(1));
  sendFrom("there", askFor(kVip));
  bool answered = false;
  for (const Bytes& frame : f.listener.take(8)) answered = answered || isAnswer(frame);
  CHECK(answered);

  f.port->setLease(0);
  (void)f.listener.take(100);
  sendFrom("there", askFor(kVip));
  CHECK(f.listener.take(1).empty());
  CHECK(f.counters.read(RF_COUNT_arp_lease_void) == 1);
}

TEST_CASE("what could not be announced while the link was down is not said later, when it is no longer true") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.cable.pull();
  f.own();
  while (f.counters.read(RF_COUNT_drop_tx_full) == 0) std::this_thread::yield();
  REQUIRE(f.port->setVips(VipSet({{ipv4Address(kVip), {0, false}}})));
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
  sendFrom("there", askFor(kVip));
  bool answered = false;
  for (const Bytes& frame : f.listener.take(8)) answered = answered || isAnswer(frame);
  CHECK(answered);
}
