#include <doctest/doctest.h>

#include <numeric>

#include "../neighbor/kernel_guard.h"
#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

const uint32_t kOurs = ip(192, 0, 2, 101);
const uint32_t kTheirs = ip(192, 0, 2, 102);
const uint32_t kHost = ip(192, 0, 2, 5);
constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct Fixture {
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  Counters counters{words.data()};
  VipSet vips{{{ipv4Address(kTheirs), {0, false}}, {ipv4Address(kOurs), {0, true}}}};
  KernelGuard guard{nodeMac(1)};

  std::optional<ArpFrame> fromKernel(const Arp& arp) { return guard.arp(writeArp(arp), vips, counters); }
};

Arp question(uint32_t sender, uint32_t target, const Mac& mac = kStranger) {
  return {kBroadcast, mac, ArpOperation::request, mac, {}, sender, target};
}

}  // namespace

TEST_CASE("malformed ARP of the kernel stays on this node") {
  Fixture f;
  const ArpFrame good = writeArp(question(kHost, kOurs));
  uint64_t expected = 0;
  for (const auto& [at, value] : std::initializer_list<std::pair<std::size_t, uint8_t>>{{12, 9}, {15, 9}, {16, 9}, {18, 5}, {19, 16}, {21, 3}, {22, 0x53}}) {
    ArpFrame frame = good;
    frame[at] = value;
    CHECK_FALSE(f.guard.arp(frame, f.vips, f.counters));
    expected++;
  }
  for (std::size_t length = 0; length < kArpFrameLen; length++) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK_FALSE(f.guard.arp(cut, f.vips, f.counters));
    expected++;
  }
  CHECK(f.words[RF_COUNT_drop_kernel_out] == expected);
}

TEST_CASE("the kernel's questions go out without a VIP in them") {
  Fixture f;
  const Arp probe = parseArp(f.fromKernel(question(kOurs, kHost, nodeMac(1))).value()).value();
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
  CHECK_FALSE(f.fromKernel(reply));
  CHECK_FALSE(f.fromKernel(question(kOurs, kOurs)));
  CHECK_FALSE(f.fromKernel(question(0, kTheirs)));
  CHECK(f.words[RF_COUNT_arp_blocked_out] == 3);
}
