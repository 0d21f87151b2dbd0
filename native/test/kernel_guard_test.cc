#include <doctest/doctest.h>

#include <array>

#include "../neighbor/kernel_guard.h"
#include "ipv6_packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

using Verdict = KernelGuard::Verdict;

const uint32_t kOurs = ip(192, 0, 2, 101);
const uint32_t kTheirs = ip(192, 0, 2, 102);
const uint32_t kHost = ip(192, 0, 2, 5);
const Bytes kOurs6 = ipv6Host(0x65);
const Bytes kTheirs6 = ipv6Host(0x66);
const Bytes kHost6 = ipv6Host(5);
const Bytes kOwn6 = ipv6LinkLocal(9);
constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct Fixture {
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  Counters counters{words.data()};
  VipSet vips{{{ipv4Address(kTheirs), {0, false}}, {ipv4Address(kOurs), {0, true}}, {addressOf(kTheirs6), {0, false}}, {addressOf(kOurs6), {0, true}}}};
  KernelGuard guard{nodeMac(1)};

  Verdict judge(Bytes& frame) { return guard.judge(frame, vips, counters); }
  Verdict judgeCopy(const Bytes& frame) {
    Bytes copy(frame);
    return judge(copy);
  }
  Verdict ndFrom(const Mac& mac, const Bytes& packet) { return judgeCopy(ethernet(groupMac(ipv6AllNodes()), mac, RF_ETHERTYPE_IPV6, packet)); }
};

Arp question(uint32_t sender, uint32_t target, const Mac& mac = kStranger) {
  return {kBroadcast, mac, ArpOperation::request, mac, {}, sender, target};
}

Bytes frameOf(const Arp& arp) {
  const ArpFrame frame = writeArp(arp);
  return Bytes(frame.begin(), frame.end());
}

}  // namespace

TEST_CASE("malformed ARP of the kernel stays on this node") {
  Fixture f;
  const Bytes good = frameOf(question(kHost, kOurs));
  uint64_t expected = 0;
  for (const auto& [at, value] : std::initializer_list<std::pair<std::size_t, uint8_t>>{{12, 9}, {15, 9}, {16, 9}, {18, 5}, {19, 16}, {21, 3}, {22, 0x53}}) {
    Bytes frame = good;
    frame[at] = value;
    CHECK(f.judge(frame) == Verdict::stays);
    expected++;
  }
  for (std::size_t length = 0; length < kArpFrameLen; length++) {
    Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(f.judge(cut) == Verdict::stays);
    expected++;
  }
  CHECK(f.words[RF_COUNT_drop_kernel_out] == expected);
}

TEST_CASE("the kernel's questions go out without a VIP in them") {
  Fixture f;
  Bytes frame = frameOf(question(kOurs, kHost));
  CHECK(f.judge(frame) == Verdict::question);
  CHECK(frame == frameOf(question(0, kHost, nodeMac(1))));
  Bytes behind_tag = tagged(10, frameOf(question(kOurs, kHost)));
  CHECK(f.judge(behind_tag) == Verdict::question);
  CHECK(behind_tag == tagged(10, frame));
  CHECK(f.words[RF_COUNT_arp_masked] == 2);
}

TEST_CASE("whatever else the kernel says of a VIP stays on this node") {
  Fixture f;
  Arp reply = question(kTheirs, kHost);
  reply.operation = ArpOperation::reply;
  CHECK(f.judgeCopy(frameOf(reply)) == Verdict::stays);
  CHECK(f.judgeCopy(frameOf(question(kOurs, kOurs))) == Verdict::stays);
  CHECK(f.judgeCopy(tagged(10, frameOf(question(0, kTheirs)))) == Verdict::stays);
  CHECK(f.words[RF_COUNT_arp_blocked_out] == 3);
}

TEST_CASE("the kernel's packets leave as they are, behind tags too, and other protocols do not") {
  Fixture f;
  const Bytes datagram = udp(1, 2, 8);
  for (const Bytes& good : {ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV4, ipv4({.src = kOurs}, datagram)),
                            ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV6, ipv6(RF_PROTO_UDP, kOurs6, kHost6, datagram)),
                            ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV6, icmpv6(kOurs6, kHost6, {128, 0, 0, 0, 0, 1, 0, 1}))}) {
    for (const Bytes& frame : {good, tagged(10, good), tagged(10, tagged(20, good), RF_ETHERTYPE_SERVICE_VLAN)}) {
      Bytes judged(frame);
      CHECK(f.judge(judged) == Verdict::packet);
      CHECK(judged == frame);
    }
  }
  CHECK(f.judgeCopy(ethernet(kStranger, nodeMac(1), 0x88cc, datagram)) == Verdict::stays);
  CHECK(f.words[RF_COUNT_drop_kernel_out] == 1);
}

TEST_CASE("a port without an IPv6 VIP lets no IPv6 out") {
  Fixture f;
  f.vips = VipSet({{ipv4Address(kOurs), {0, true}}});
  CHECK(f.judgeCopy(ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV6, ipv6(RF_PROTO_UDP, kOurs6, kHost6, udp(1, 2)))) == Verdict::stays);
  CHECK(f.judgeCopy(ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV4, ipv4({.src = kOurs}, udp(1, 2)))) == Verdict::packet);
  CHECK(f.words[RF_COUNT_drop_ipv6] == 1);
}

TEST_CASE("a solicitation under a VIP goes out under the front MAC's link-local address") {
  Fixture f;
  const Bytes group = ipv6SolicitedNode(kHost6);
  // fe80::, the front MAC 02:aa:bb:cc:00:01 with its second bit turned and ff:fe in its middle.
  const Bytes own = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x00, 0xaa, 0xbb, 0xff, 0xfe, 0xcc, 0x00, 0x01};
  const Bytes nonce = {14, 1, 1, 2, 3, 4, 5, 6};
  for (const Bytes& vip : {kOurs6, kTheirs6}) {
    const auto asks = [&](const Bytes& source, const Mac& mac) {
      return tagged(10, ethernet(groupMac(group), mac, RF_ETHERTYPE_IPV6, solicitation(source, group, kHost6, nonce + linkLayerOption(1, mac))));
    };
    Bytes frame = asks(vip, kStranger);
    CHECK(f.judge(frame) == Verdict::question);
    CHECK(frame == asks(own, nodeMac(1)));
  }
  CHECK(f.words[RF_COUNT_nd_masked] == 2);
  CHECK(f.words[RF_COUNT_nd_blocked_out] == 0);
}

TEST_CASE("what the kernel says of its own link-local address leaves as it is") {
  Fixture f;
  const Bytes group = ipv6SolicitedNode(kHost6);
  const Bytes to_host = ethernet(groupMac(group), nodeMac(1), RF_ETHERTYPE_IPV6, solicitation(kOwn6, group, kHost6, linkLayerOption(1, nodeMac(1))));
  Bytes judged(to_host);
  CHECK(f.judge(judged) == Verdict::question);
  CHECK(judged == to_host);
  CHECK(f.ndFrom(nodeMac(1), solicitation(ipv6Unspecified(), ipv6SolicitedNode(kOwn6), kOwn6)) == Verdict::question);
  CHECK(f.ndFrom(nodeMac(1), advertisement(0xe0, kOwn6, kHost6, kOwn6, linkLayerOption(2, nodeMac(1)))) == Verdict::packet);
  CHECK(f.words == decltype(f.words){});
}

TEST_CASE("advertisements of VIPs, and questions and probes for them, stay on this node") {
  Fixture f;
  uint64_t expected = 0;
  for (const Bytes& vip : {kOurs6, kTheirs6}) {
    CHECK(f.ndFrom(nodeMac(1), advertisement(0x60, vip, kHost6, vip, linkLayerOption(2, nodeMac(1)))) == Verdict::stays);
    CHECK(f.ndFrom(nodeMac(1), advertisement(0x20, kOwn6, ipv6AllNodes(), vip, linkLayerOption(2, nodeMac(1)))) == Verdict::stays);
    CHECK(f.ndFrom(nodeMac(1), solicitation(ipv6Unspecified(), ipv6SolicitedNode(vip), vip)) == Verdict::stays);
    CHECK(f.ndFrom(nodeMac(1), solicitation(kOwn6, ipv6SolicitedNode(vip), vip, linkLayerOption(1, nodeMac(1)))) == Verdict::stays);
    expected += 4;
  }
  CHECK(f.words[RF_COUNT_nd_blocked_out] == expected);
}

TEST_CASE("listener reports, and what is between hosts and routers, stay on this node") {
  Fixture f;
  const Bytes router_alert = {58, 0, 5, 2, 0, 0, 1, 0};
  const Bytes report = {143, 0, 0, 0, 0, 0, 0, 0};
  CHECK(f.ndFrom(nodeMac(1), ipv6(RF_PROTO_HOP_BY_HOP, kOwn6, ipv6AllNodes(), router_alert + report, 1)) == Verdict::stays);
  for (const int type : {130, 131, 132, 133, 134, 137, 143}) {
    const Bytes message = {static_cast<uint8_t>(type), 0, 0, 0, 0, 0, 0, 0};
    CHECK(f.ndFrom(nodeMac(1), icmpv6(kOwn6, ipv6AllNodes(), message)) == Verdict::stays);
  }
  CHECK(f.words[RF_COUNT_nd_blocked_out] == 8);
}

TEST_CASE("neighbour discovery of the kernel that cannot be judged stays on this node") {
  Fixture f;
  const Bytes group = ipv6SolicitedNode(kHost6);
  const Bytes good = solicitation(kOurs6, group, kHost6, linkLayerOption(1, nodeMac(1)));
  const Bytes message(good.begin() + 40, good.end());
  uint64_t expected = 0;
  const auto stays = [&](const Bytes& packet) {
    CHECK(f.ndFrom(nodeMac(1), packet) == Verdict::stays);
    CHECK(f.words[RF_COUNT_drop_kernel_out] == ++expected);
  };
  for (std::size_t length = 0; length < good.size(); length++) stays(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)));
  Bytes wrong_sum(good);
  wrong_sum[43] = static_cast<uint8_t>(~wrong_sum[43]);
  stays(wrong_sum);
  stays(solicitation(kOurs6, group, kHost6, Bytes{1, 0, 0, 0, 0, 0, 0, 0}));
  stays(solicitation(kOurs6, group, kHost6, Bytes{1, 2, 0, 0, 0, 0, 0, 0}));
  stays(ipv6(RF_PROTO_ICMPV6, kOurs6, group, message, 254));
  stays(ipv6(RF_PROTO_DESTINATION_OPTIONS, kOurs6, group, Bytes{58, 0, 1, 4, 0, 0, 0, 0} + message, 255));
  stays(ipv6(RF_PROTO_FRAGMENT, kOurs6, group, Bytes{58, 0, 0, 1, 0, 0, 0, 1} + message, 255));
  stays(ipv6(RF_PROTO_ICMPV6, kOurs6, group, {135, 0, 0}, 255));
}
