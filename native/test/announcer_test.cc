#include <doctest/doctest.h>

#include "../neighbor/announcer.h"
#include "ipv6_packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kForever = ~0ull;
const uint32_t kVip = ip(192, 0, 2, 101);

// Announcements in each millisecond step of [from, to).
std::size_t announcedBetween(Announcer& announcer, uint64_t from_ns, uint64_t to_ns) {
  std::size_t count = 0;
  for (uint64_t now = from_ns; now < to_ns; now += kMs) count += announcer.due(kForever, now).size();
  return count;
}

}  // namespace

TEST_CASE("a takeover is announced in a burst from its start on, then slowly for ever") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{ipv4Address(kVip), {100 * kMs, true}}}));
  CHECK(announcer.nextDue_ns() == 100 * kMs);
  CHECK(announcedBetween(announcer, 0, 100 * kMs) == 0);
  CHECK(announcedBetween(announcer, 100 * kMs, 5'200 * kMs) == 6);
  CHECK(announcedBetween(announcer, 5'200 * kMs, 125'200 * kMs) == 4);
}

TEST_CASE("an announcement is a gratuitous request that shows the front MAC") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{ipv4Address(kVip), {0, true}}}));
  const auto frames = announcer.due(kForever, 0);
  REQUIRE(frames.size() == 1);
  const Arp arp = parseArp(frames[0].bytes()).value();
  CHECK(arp.operation == ArpOperation::request);
  CHECK(arp.sender_ip == kVip);
  CHECK(arp.target_ip == kVip);
  CHECK(arp.sender_mac == nodeMac(1));
  CHECK(arp.eth_dst == Mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
}

TEST_CASE("an IPv6 VIP is announced by an unsolicited advertisement to all nodes") {
  Announcer announcer(nodeMac(1));
  const Bytes vip = ipv6Host(0x65);
  announcer.update(VipSet({{addressOf(vip), {0, true}}}));
  const auto frames = announcer.due(kForever, 0);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].vip == addressOf(vip));
  // From the VIP itself; router and override, but not solicited.
  const Bytes packet = advertisement(0xa0, vip, ipv6AllNodes(), vip, linkLayerOption(2, nodeMac(1)));
  const Bytes expected = ethernet({0x33, 0x33, 0, 0, 0, 1}, nodeMac(1), RF_ETHERTYPE_IPV6, packet);
  CHECK(Bytes(frames[0].bytes().begin(), frames[0].bytes().end()) == expected);
  CHECK(icmpv6Sum(vip, ipv6AllNodes(), Bytes(expected.begin() + 54, expected.end())) == 0xffff);
  CHECK(expected[21] == 255);
}

TEST_CASE("VIPs of both families keep the same times, each its own") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{addressOf(ipv6Host(1)), {100 * kMs, true}}, {ipv4Address(kVip), {200 * kMs, true}}}));
  CHECK(announcer.nextDue_ns() == 100 * kMs);
  CHECK(announcedBetween(announcer, 0, 200 * kMs) == 3);
  CHECK(announcedBetween(announcer, 200 * kMs, 5'300 * kMs) == 3 + 6);
  announcer.update(VipSet({{addressOf(ipv6Host(1)), {0, false}}, {ipv4Address(kVip), {200 * kMs, true}}}));
  for (const Announcement& late : announcer.due(kForever, 60'000 * kMs)) CHECK(late.vip == ipv4Address(kVip));
}

TEST_CASE("without a lease nothing is announced, and nothing is lost") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{ipv4Address(kVip), {0, true}}}));
  CHECK(announcer.due(50 * kMs, 50 * kMs).empty());
  CHECK(announcer.due(kForever, 60 * kMs).size() == 1);
}

TEST_CASE("a VIP that is given up falls silent, and one that comes back is announced anew") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{ipv4Address(kVip), {0, true}}}));
  CHECK(announcer.due(kForever, 0).size() == 1);
  announcer.update(VipSet({{ipv4Address(kVip), {0, false}}}));
  CHECK_FALSE(announcer.nextDue_ns().has_value());
  announcer.update(VipSet({{ipv4Address(kVip), {7 * kMs, true}}}));
  CHECK(announcer.nextDue_ns() == 7 * kMs);
}

TEST_CASE("an unchanged set does not start a burst again") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{ipv4Address(kVip), {0, true}}}));
  CHECK(announcedBetween(announcer, 0, 6'000 * kMs) == 6);
  announcer.update(VipSet({{ipv4Address(kVip), {0, true}}}));
  CHECK(announcedBetween(announcer, 6'000 * kMs, 7'000 * kMs) == 0);
}

TEST_CASE("contested VIPs are announced again, but not more than one burst a second") {
  Announcer announcer(nodeMac(1));
  announcer.update(VipSet({{ipv4Address(kVip), {0, true}}}));
  CHECK(announcedBetween(announcer, 0, 6'000 * kMs) == 6);
  for (uint64_t now = 6'000 * kMs; now < 6'999 * kMs; now += kMs) announcer.again(now);
  CHECK(announcedBetween(announcer, 6'000 * kMs, 6'150 * kMs) == 3);
}
