#include <doctest/doctest.h>

#include <numeric>

#include "../neighbor/guard.h"
#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint64_t kNow_ns = 5'000'000'000;
constexpr uint64_t kLease_ns = kNow_ns + 1;
const uint32_t kOurs = ip(192, 0, 2, 101);
const uint32_t kTheirs = ip(192, 0, 2, 102);
const uint32_t kClaimedSoon = ip(192, 0, 2, 103);
const uint32_t kHost = ip(192, 0, 2, 5);
constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct Fixture {
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  Counters counters{words.data()};
  VipSet vips{{{kTheirs, false, 0}, {kOurs, true, kNow_ns}, {kClaimedSoon, true, kNow_ns + 1}}};
  NeighborGuard guard{nodeMac(1)};
  bool conflict = false;

  ArpVerdict fromSegment(const Arp& arp, uint64_t lease_until_ns = kLease_ns) {
    return guard.fromSegment(writeArp(arp), vips, lease_until_ns, kNow_ns, counters, conflict);
  }
  ArpVerdict fromKernel(const Arp& arp) { return guard.fromKernel(writeArp(arp), vips, counters); }
};

Arp question(uint32_t sender, uint32_t target, const Mac& mac = kStranger) {
  return {kBroadcast, mac, ArpOperation::request, mac, {}, sender, target};
}

Arp sent(const ArpVerdict& verdict) {
  const Send* send = std::get_if<Send>(&verdict);
  REQUIRE(send != nullptr);
  return parseArp(send->frame).value();
}

}  // namespace

TEST_CASE("the owner answers for its VIP with the front MAC") {
  Fixture f;
  const Arp reply = sent(f.fromSegment(question(kHost, kOurs)));
  CHECK(reply.operation == ArpOperation::reply);
  CHECK(reply.eth_dst == kStranger);
  CHECK(reply.eth_src == nodeMac(1));
  CHECK(reply.sender_mac == nodeMac(1));
  CHECK(reply.sender_ip == kOurs);
  CHECK(reply.target_mac == kStranger);
  CHECK(reply.target_ip == kHost);
  CHECK(f.words[RF_COUNT_arp_answered] == 1);
}

TEST_CASE("an address probe for an owned VIP is answered too (RFC 5227)") {
  Fixture f;
  CHECK(sent(f.fromSegment(question(0, kOurs))).sender_ip == kOurs);
}

TEST_CASE("nobody else, nobody without a lease, and nobody too early answers") {
  Fixture f;
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kHost, kTheirs))));
  CHECK(f.words[RF_COUNT_arp_not_owner] == 1);
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kHost, kOurs), kNow_ns)));
  CHECK(f.words[RF_COUNT_arp_lease_void] == 1);
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kHost, kClaimedSoon))));
  CHECK(f.words[RF_COUNT_arp_held_back] == 1);
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kHost, kHost))));
  CHECK(f.words[RF_COUNT_arp_answered] == 0);
}

TEST_CASE("a claim of a VIP is kept from the kernel and told apart by who makes it") {
  Fixture f;
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kTheirs, kTheirs, nodeMac(2)))));
  CHECK(f.words[RF_COUNT_arp_peer_claim] == 1);
  CHECK_FALSE(f.conflict);
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kOurs, kOurs))));
  CHECK(f.words[RF_COUNT_arp_conflict] == 1);
  CHECK(f.conflict);
}

TEST_CASE("answers to the kernel's own questions reach it, other answers do not") {
  Fixture f;
  const Arp answer = {nodeMac(1), kStranger, ArpOperation::reply, kStranger, nodeMac(1), kHost, 0};
  CHECK(std::holds_alternative<Deliver>(f.fromSegment(answer)));
  Arp elsewhere = answer;
  elsewhere.eth_dst = kBroadcast;
  CHECK(std::holds_alternative<Discard>(f.fromSegment(elsewhere)));
}

TEST_CASE("our own frame coming back is a loop") {
  Fixture f;
  CHECK(std::holds_alternative<Discard>(f.fromSegment(question(kOurs, kOurs, nodeMac(1)))));
  CHECK(f.words[RF_COUNT_drop_looped] == 1);
}

TEST_CASE("malformed ARP is dropped, in both directions") {
  Fixture f;
  const ArpFrame good = writeArp(question(kHost, kOurs));
  auto broken = [&](std::size_t at, uint8_t value) {
    ArpFrame frame = good;
    frame[at] = value;
    return frame;
  };
  uint64_t expected = 0;
  for (const ArpFrame& frame : {broken(12, 9), broken(15, 9), broken(16, 9), broken(18, 5), broken(19, 16), broken(21, 3), broken(22, 0x53)}) {
    CHECK(std::holds_alternative<Discard>(f.guard.fromSegment(frame, f.vips, kLease_ns, kNow_ns, f.counters, f.conflict)));
    CHECK(std::holds_alternative<Discard>(f.guard.fromKernel(frame, f.vips, f.counters)));
    expected++;
  }
  for (std::size_t length = 0; length < kArpFrameLen; length++) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(std::holds_alternative<Discard>(f.guard.fromSegment(cut, f.vips, kLease_ns, kNow_ns, f.counters, f.conflict)));
    expected++;
  }
  CHECK(f.words[RF_COUNT_drop_malformed_arp] == expected);
  CHECK(f.words[RF_COUNT_arp_answered] == 0);
}

TEST_CASE("the kernel's questions go out without a VIP in them") {
  Fixture f;
  const Arp probe = sent(f.fromKernel(question(kOurs, kHost, nodeMac(1))));
  CHECK(probe.operation == ArpOperation::request);
  CHECK(probe.sender_ip == 0);
  CHECK(probe.sender_mac == nodeMac(1));
  CHECK(probe.target_ip == kHost);
  CHECK(f.words[RF_COUNT_arp_masked] == 1);
}

TEST_CASE("whatever else the kernel says of a VIP stays on this node") {
  Fixture f;
  Arp reply = question(kTheirs, kHost);
  reply.operation = ArpOperation::reply;
  CHECK(std::holds_alternative<Discard>(f.fromKernel(reply)));
  CHECK(std::holds_alternative<Discard>(f.fromKernel(question(kOurs, kOurs))));
  CHECK(std::holds_alternative<Discard>(f.fromKernel(question(0, kTheirs))));
  CHECK(f.words[RF_COUNT_arp_blocked_out] == 3);
}
