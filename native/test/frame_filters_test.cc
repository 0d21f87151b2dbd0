#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>

#include "../port/frame_filters.h"
#include "../port/packet_socket.h"
#include "ipv6_packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

// The kernel runs a program over the frames: here over datagrams between two sockets, which needs no privilege.
class Filter {
 public:
  explicit Filter(const std::vector<sock_filter>& program) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    from_ = Fd(ends[0]);
    to_ = Fd(ends[1]);
    attachFilter(to_, program);
  }

  bool takes(const Bytes& frame) const {
    // A frame that is refused is not sent, or is gone without a word: by the kernel's version.
    (void)!::send(from_.get(), frame.data(), frame.size(), 0);
    Bytes got(4096);
    const ssize_t length = ::recv(to_.get(), got.data(), got.size(), 0);
    CHECK((length < 0 || static_cast<std::size_t>(length) == frame.size()));
    return length >= 0;
  }

 private:
  Fd from_, to_;
};

struct Filters {
  Filter neighbor{neighborFilter(nodeMac(1))};
  Filter packet{packetFilter(nodeMac(1))};
};

Bytes to(const Mac& mac, const Bytes& frame) {
  Bytes b(frame);
  std::copy(mac.begin(), mac.end(), b.begin());
  return b;
}

constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
const Bytes kVip = ipv6Host(0x65);

Bytes arpFrame() {
  const ArpFrame frame = writeArp({kBroadcast, kStranger, ArpOperation::request, kStranger, {}, 5, 6});
  return Bytes(frame.begin(), frame.end());
}
Bytes advertisementFrame() { return ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, advertisement(0x60, kVip, ipv6Host(5), kVip)); }

std::vector<Bytes> neighborFrames() { return {arpFrame(), askForIpv6(kVip), advertisementFrame()}; }

std::vector<Bytes> packetFrames() {
  return {ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV4, ipv4({}, udp(1, 2))),
          ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, ipv6(RF_PROTO_UDP, ipv6Host(5), kVip, Bytes(20, 135))),
          ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, icmpv6(ipv6Host(5), kVip, {134, 0, 0, 0, 0, 1, 0, 1})),
          ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, icmpv6(ipv6Host(5), kVip, {137, 0, 0, 0, 0, 1, 0, 1})),
          ethernet(nodeMac(1), kStranger, 0x88cc, Bytes(60, 135))};
}

std::vector<Bytes> withTags(const Bytes& frame) { return {frame, tagged(10, frame), tagged(10, tagged(20, frame), RF_ETHERTYPE_SERVICE_VLAN)}; }

}  // namespace

TEST_CASE("neighbour frames have a socket of their own, behind tags too") {
  const Filters filters;
  for (const Bytes& plain : neighborFrames()) {
    for (const Bytes& frame : withTags(to(nodeMac(1), plain))) {
      CHECK(filters.neighbor.takes(frame));
      CHECK_FALSE(filters.packet.takes(frame));
    }
  }
}

TEST_CASE("all other frames to the front MAC are packets, behind tags too") {
  const Filters filters;
  for (const Bytes& plain : packetFrames()) {
    for (const Bytes& frame : withTags(plain)) {
      CHECK(filters.packet.takes(frame));
      CHECK_FALSE(filters.neighbor.takes(frame));
    }
  }
}

TEST_CASE("each frame to the front MAC is taken once, wherever it is cut off") {
  const Filters filters;
  std::vector<Bytes> all = packetFrames();
  for (const Bytes& frame : neighborFrames()) all.push_back(to(nodeMac(1), frame));
  for (const Bytes& plain : all) {
    for (const Bytes& frame : withTags(plain)) {
      for (std::size_t length = RF_ETH_HEADER_LEN; length < frame.size(); length++) {
        const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
        CHECK(filters.neighbor.takes(cut) != filters.packet.takes(cut));
      }
    }
  }
}

TEST_CASE("of groups, ARP is taken, and discovery that is for all nodes or for those who may be asked") {
  const Filters filters;
  CHECK(filters.neighbor.takes(arpFrame()));
  CHECK(filters.neighbor.takes(askForIpv6(kVip)));
  CHECK(filters.neighbor.takes(tagged(10, askForIpv6(kVip))));
  CHECK(filters.neighbor.takes(to({0x33, 0x33, 0, 0, 0, 1}, advertisementFrame())));
  for (const Mac& other : {Mac{0x33, 0x33, 0, 0, 0, 2}, Mac{0x33, 0x33, 0, 1, 0, 3}, Mac{0x33, 0x34, 0xff, 0, 0, 1}, kBroadcast, nodeMac(2), kStranger})
    CHECK_FALSE(filters.neighbor.takes(to(other, advertisementFrame())));
  for (const Bytes& frame : packetFrames()) {
    CHECK_FALSE(filters.packet.takes(to(kBroadcast, frame)));
    CHECK_FALSE(filters.packet.takes(to(nodeMac(2), frame)));
    CHECK_FALSE(filters.neighbor.takes(to(groupMac(ipv6AllNodes()), frame)));
  }
}
