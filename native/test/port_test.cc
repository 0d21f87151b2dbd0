// What a front port does with tags and with IPv6, over real veth pairs: frames from the segment come in at `here`, what the port sends is heard at
// `there`, and what it passes to the kernel at `inner`.
#include <doctest/doctest.h>

#include "ipv6_packets.h"
#include "port_fixture.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

const Bytes kVip6 = ipv6Host(0x65);
const Bytes kHost6 = ipv6Host(5);
Bytes ndAnswer() {
  return ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV6, advertisement(0xe0, kVip6, kHost6, kVip6, linkLayerOption(2, nodeMac(1))));
}
Bytes ndAnnouncement() {
  return ethernet(groupMac(ipv6AllNodes()), nodeMac(1), RF_ETHERTYPE_IPV6, advertisement(0xa0, kVip6, ipv6AllNodes(), kVip6, linkLayerOption(2, nodeMac(1))));
}

Bytes udp6To(const Mac& mac, const Mac& from = kStranger) { return ethernet(mac, from, RF_ETHERTYPE_IPV6, ipv6(RF_PROTO_UDP, kHost6, kVip6, udp(1, 2, 40))); }

struct Ipv6Fixture : PortFixture {
  Listener inner{"inner"};
  Ipv6Fixture() {
    steerTo(1);
    own({ours(addressOf(kVip6))});
  }
};

}  // namespace

TEST_CASE("an ARP request is answered behind the tags that it came with") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  for (const uint16_t tpid : {uint16_t{RF_ETHERTYPE_VLAN}, uint16_t{RF_ETHERTYPE_SERVICE_VLAN}}) {
    sendFrom("there", tagged(0x600a, arpQuestion(), tpid));
    CHECK(f.listener.hears(tagged(0x600a, arpAnswer(), tpid)));
  }
  const auto behindTwo = [](const Bytes& frame) { return tagged(10, tagged(20, frame), RF_ETHERTYPE_SERVICE_VLAN); };
  sendFrom("there", behindTwo(arpQuestion()));
  CHECK(f.listener.hears(behindTwo(arpAnswer())));
  CHECK(f.counts(RF_COUNT_arp_answered, 3));
}

TEST_CASE("what is left to the kernel is not counted as the layer's") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  const Bytes about_nobody = arpFrame({kBroadcast, kStranger, ArpOperation::request, kStranger, {}, 5, ip(192, 0, 2, 77)});
  sendFrom("there", {about_nobody, arpQuestion(), about_nobody, arpQuestion()});
  CHECK(f.counts(RF_COUNT_arp_answered, 2));
  CHECK(f.counters.read(RF_COUNT_rx_frames) == 2);
  CHECK(f.counters.read(RF_COUNT_rx_bytes) == 2 * arpQuestion().size());
}

TEST_CASE("a fragment that came before its first one follows it through the rings, and is given up without") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  checkParking(f);
  CHECK(f.counters.read(RF_COUNT_rx_frames) == 6);
}

TEST_CASE("no fragment is kept for when there is a view") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  sendFrom("there", fragment(6));
  CHECK(f.counts(RF_COUNT_drop_no_view, 1));
  CHECK(f.counts(RF_COUNT_punt_fragment, 0));
}

TEST_CASE("relays keep their tags") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  f.steerTo(2);
  const Bytes relayed = relayedTo(2, udpTo(nodeMac(1)));
  for (const auto& around : {+[](const Bytes& frame) { return frame; }, +[](const Bytes& frame) { return tagged(10, frame); },
                             +[](const Bytes& frame) { return tagged(10, tagged(20, frame), RF_ETHERTYPE_SERVICE_VLAN); }}) {
    sendFrom("there", around(udpTo(nodeMac(1))));
    CHECK(f.listener.hears(around(relayed)));
  }
  CHECK(f.counts(RF_COUNT_relay_out_frames, 3));
}

TEST_CASE("a relay may be longer than the MTU by an 802.1Q tag, and what is still longer is counted") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  REQUIRE(ip("link set there mtu 1510"));
  f.own();
  f.steerTo(2);
  const auto longUdpTo = [](const Mac& mac, const Mac& from) { return ethernet(mac, from, RF_ETHERTYPE_IPV4, ipv4({}, udp(1, 2, 1500 - 28))); };
  const Bytes frame = longUdpTo(nodeMac(1), kStranger);
  const Bytes relayed = longUdpTo(nodeMac(2), nodeMac(1));
  const auto behindService = [](const Bytes& inner) { return tagged(10, inner, RF_ETHERTYPE_SERVICE_VLAN); };
  sendFrom("there", tagged(10, frame));
  CHECK(f.listener.hears(tagged(10, relayed)));
  sendFrom("there", behindService(frame));
  CHECK(f.counts(RF_COUNT_drop_oversize, 1));
  CHECK(f.counters.read(RF_COUNT_relay_out_frames) == 1);
  REQUIRE(ip("link set here mtu 1510"));
  sendFrom("there", behindService(frame));
  CHECK(f.listener.hears(behindService(relayed)));
}

TEST_CASE("a tagged frame that is handled here goes to the kernel with its tag") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  Listener inner("inner");
  f.own();
  f.steerTo(1);
  for (const Bytes& frame : {udpTo(nodeMac(1)), tagged(10, udpTo(nodeMac(1))), tagged(10, tagged(20, udpTo(nodeMac(1))))}) {
    sendFrom("there", frame);
    CHECK(inner.hears(frame));
  }
  CHECK(f.counts(RF_COUNT_pass_frames, 3));
}

TEST_CASE("what the kernel sends with a tag leaves with it, and its tagged questions show no VIP") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  Bytes answer = udpTo(kStranger);
  sendFrom("inner", tagged(10, answer));
  CHECK(f.listener.hears(tagged(10, answer)));
  const Bytes question = arpFrame({kBroadcast, nodeMac(1), ArpOperation::request, nodeMac(1), {}, kVip, 5});
  sendFrom("inner", tagged(10, question));
  CHECK(f.listener.hears(tagged(10, arpFrame({kBroadcast, nodeMac(1), ArpOperation::request, nodeMac(1), {}, 0, 5}))));
  CHECK(f.counts(RF_COUNT_kernel_out_frames, 2));
}

TEST_CASE("a takeover of an IPv6 VIP is announced to all nodes") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own({theirs(addressOf(kVip6))});
  CHECK(f.listener.take(1).empty());
  f.own({ours(addressOf(kVip6))});
  const auto frames = f.listener.take(1, kPatience_ms);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0] == ndAnnouncement());
  CHECK(f.counts(RF_COUNT_nd_announced, 5));
  CHECK(f.counters.read(RF_COUNT_arp_announced) == 0);
}

TEST_CASE("a solicitation for an IPv6 VIP is answered by its owner alone, and while its lease is valid") {
  if (!inOwnNamespace()) return;
  Ipv6Fixture f;
  sendFrom("there", askForIpv6(kVip6));
  CHECK(f.listener.hears(ndAnswer()));
  sendFrom("there", tagged(10, askForIpv6(kVip6)));
  CHECK(f.listener.hears(tagged(10, ndAnswer())));
  Bytes to_us = askForIpv6(kVip6);  // of a neighbour that looks whether the owner is still there
  rf_mac_copy(to_us.data(), nodeMac(1).data());
  sendFrom("there", to_us);
  CHECK(f.listener.hears(ndAnswer()));

  f.port->setLease(0);
  sendFrom("there", askForIpv6(kVip6));
  CHECK(f.counts(RF_COUNT_nd_lease_void, 1));
  f.own({theirs(addressOf(kVip6))});
  (void)f.listener.take(100);
  sendFrom("there", askForIpv6(kVip6));
  CHECK(f.counts(RF_COUNT_nd_not_owner, 1));
  CHECK(f.listener.take(1).empty());
  CHECK(f.counters.read(RF_COUNT_nd_answered) == 3);
  CHECK(f.inner.take(1, 0).empty());
}

TEST_CASE("whoever takes an IPv6 VIP of ours for his own hears that it is ours") {
  if (!inOwnNamespace()) return;
  Ipv6Fixture f;
  const Bytes group = ipv6SolicitedNode(kVip6);
  // Behind a tag, which tells the answer from an announcement.
  sendFrom("there", tagged(10, ethernet(groupMac(group), kStranger, RF_ETHERTYPE_IPV6, solicitation(ipv6Unspecified(), group, kVip6))));
  CHECK(f.listener.hears(tagged(10, ndAnnouncement())));
  CHECK(f.counts(RF_COUNT_nd_defended, 1));
}

TEST_CASE("a stranger's advertisement of an IPv6 VIP of ours is kept from the kernel, and answered with a new burst") {
  if (!inOwnNamespace()) return;
  Ipv6Fixture f;
  REQUIRE(f.counts(RF_COUNT_nd_announced, 5));  // at 0, 10, 50, 200 ms and 1 s; the next one is far off
  (void)f.listener.take(100, 0);
  Bytes claim = ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, advertisement(0x60, kVip6, ipv6LinkLocal(9), kVip6, linkLayerOption(2, kStranger)));
  sendFrom("there", claim);
  CHECK(f.listener.hears(ndAnnouncement()));
  CHECK(f.counts(RF_COUNT_nd_conflict, 1));
  CHECK(f.inner.take(1, 0).empty());
}

TEST_CASE("IPv6 to the front MAC is passed to the kernel, or relayed to the node that handles it") {
  if (!inOwnNamespace()) return;
  Ipv6Fixture f;
  for (const Bytes& frame : {udp6To(nodeMac(1)), tagged(10, udp6To(nodeMac(1)))}) {
    sendFrom("there", frame);
    CHECK(f.inner.hears(frame));
  }
  f.steerTo(2);
  sendFrom("there", udp6To(nodeMac(1)));
  CHECK(f.listener.hears(udp6To(nodeMac(2), nodeMac(1))));
  CHECK(f.counters.read(RF_COUNT_pass_frames) == 2);
  CHECK(f.counters.read(RF_COUNT_drop_ipv6) == 0);
}

TEST_CASE("an answer to the kernel's own solicitation reaches it, once") {
  if (!inOwnNamespace()) return;
  Ipv6Fixture f;
  const Bytes answer = ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, advertisement(0x60, kHost6, ipv6LinkLocal(9), kHost6, linkLayerOption(2, kStranger)));
  sendFrom("there", answer);
  sendFrom("there", udp6To(nodeMac(1)));
  CHECK(f.counts(RF_COUNT_pass_frames, 2));
  CHECK(f.inner.take(2, kPatience_ms).size() == 2);
  CHECK(f.inner.take(1).empty());
  CHECK(f.counters.read(RF_COUNT_rx_frames) == 2);
}

TEST_CASE("of the kernel's IPv6, packets leave, and what would show a VIP does not") {
  if (!inOwnNamespace()) return;
  Ipv6Fixture f;
  sendFrom("inner", udp6To(kStranger, nodeMac(1)));
  CHECK(f.listener.hears(udp6To(kStranger, nodeMac(1))));

  const Bytes group = ipv6SolicitedNode(kHost6);
  const Bytes own = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x00, 0xaa, 0xbb, 0xff, 0xfe, 0xcc, 0x00, 0x01};
  const auto asks = [&](const Bytes& source) {
    return ethernet(groupMac(group), nodeMac(1), RF_ETHERTYPE_IPV6, solicitation(source, group, kHost6, linkLayerOption(1, nodeMac(1))));
  };
  sendFrom("inner", asks(kVip6));
  CHECK(f.listener.hears(asks(own)));
  CHECK(f.counts(RF_COUNT_nd_masked, 1));

  (void)f.listener.take(100);
  sendFrom("inner", ethernet(kStranger, nodeMac(1), RF_ETHERTYPE_IPV6, advertisement(0x60, kVip6, kHost6, kVip6, linkLayerOption(2, nodeMac(1)))));
  sendFrom("inner", ethernet(groupMac(ipv6AllNodes()), nodeMac(1), RF_ETHERTYPE_IPV6, icmpv6(ipv6LinkLocal(9), ipv6AllNodes(), {133, 0, 0, 0, 0, 0, 0, 0})));
  CHECK(f.counts(RF_COUNT_nd_blocked_out, 2));
  for (const Bytes& frame : f.listener.take(10)) CHECK(frame == ndAnnouncement());
}

TEST_CASE("a port without an IPv6 VIP takes no IPv6, from neither side") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  f.steerTo(1);
  Bytes solicited = askForIpv6(kVip6);
  rf_mac_copy(solicited.data(), nodeMac(1).data());
  sendFrom("there", udp6To(nodeMac(1)));
  CHECK(f.counts(RF_COUNT_drop_ipv6, 1));
  sendFrom("there", tagged(10, udp6To(nodeMac(1))));
  CHECK(f.counts(RF_COUNT_drop_ipv6, 2));
  sendFrom("there", solicited);
  CHECK(f.counts(RF_COUNT_drop_ipv6, 3));
  sendFrom("inner", udp6To(kStranger, nodeMac(1)));
  CHECK(f.counts(RF_COUNT_drop_ipv6, 4));
  CHECK(f.counters.read(RF_COUNT_pass_frames) == 0);
  CHECK(f.counters.read(RF_COUNT_kernel_out_frames) == 0);
}

TEST_CASE("no answer leaves by a lease that was given up") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  giveUpWhileAsked(f);
}
