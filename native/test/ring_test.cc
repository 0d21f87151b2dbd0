// The rings and the front port over a real veth pair, in a network namespace of the test's own. Needs the privilege to make one.
#include <doctest/doctest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdlib>
#include <thread>

#include "../port/front_port.h"
#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

bool ip(const std::string& command) { return std::system(("ip " + command).c_str()) == 0; }

// One namespace for all tests of this file; false where it cannot be had.
bool inOwnNamespace() {
  static const bool entered = ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  if (!entered) MESSAGE("skipped: no privilege to make a network namespace");
  return entered;
}

// A cable: `here` and `there`, both up, gone at the end.
struct Cable {
  Cable() {
    REQUIRE(ip("link add here type veth peer name there"));
    for (const char* end : {"here", "there"}) {
      std::system((std::string("echo 1 > /proc/sys/net/ipv6/conf/") + end + "/disable_ipv6").c_str());
      REQUIRE(ip(std::string("link set ") + end + " up"));
    }
  }
  ~Cable() { ip("link del here"); }
  void pull() const { REQUIRE(ip("link set there down")); }
  void plug() const { REQUIRE(ip("link set there up")); }
};

// What arrives at an interface.
class Listener {
 public:
  explicit Listener(const std::string& interface) : fd_(openPacketSocket()) {
    const int on = 1;
    setPacketOption(fd_, PACKET_IGNORE_OUTGOING, &on, sizeof on, "PACKET_IGNORE_OUTGOING");
    bindPacketSocket(fd_, interface, ETH_P_ALL);
  }

  // Frames that arrive until none has come for a while, or `most` are there.
  std::vector<Bytes> take(std::size_t most) {
    std::vector<Bytes> frames;
    pollfd wait{fd_.get(), POLLIN, 0};
    while (frames.size() < most && ::poll(&wait, 1, 200) > 0) {
      Bytes frame(2048);
      const ssize_t length = ::recv(fd_.get(), frame.data(), frame.size(), 0);
      if (length < 0) continue;  // the link went down
      frame.resize(static_cast<std::size_t>(length));
      frames.push_back(frame);
    }
    return frames;
  }

 private:
  Fd fd_;
};

constexpr uint64_t kMs = 1'000'000;
const uint32_t kVip = rainfront::test::ip(192, 0, 2, 101);

struct PortFixture {
  Cable cable;
  Listener listener{"there"};
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  Counters counters{words.data()};
  std::unique_ptr<FrontPort> port;

  PortFixture() {
    REQUIRE(ip("link add inner type veth peer name outer"));
    REQUIRE(ip("link set inner up"));
    REQUIRE(ip("link set outer up"));
    port = std::make_unique<FrontPort>(FrontPortOptions{"here", "outer", nodeMac(1), words.data()});
  }
  ~PortFixture() {
    port.reset();
    ip("link del inner");
  }

  void own() {
    REQUIRE(port->setVips(VipSet({{ipv4Address(kVip), {0, true}}})));
    port->setLease(monotonicNow_ns() + 60'000 * kMs);
  }
};

void sendFrom(const std::string& interface, const Bytes& frame) {
  const Fd fd = openPacketSocket();
  bindPacketSocket(fd, interface, 0);
  REQUIRE(::send(fd.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()));
}

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

TEST_CASE("IPv6 to the front MAC goes no further than the port") {
  if (!inOwnNamespace()) return;
  PortFixture f;
  f.own();
  Bytes packet(48, 0);
  packet[0] = 0x60;
  packet[5] = 8;
  packet[6] = RF_PROTO_UDP;
  sendFrom("there", ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, packet));
  while (f.counters.read(RF_COUNT_drop_ipv6) + f.counters.read(RF_COUNT_pass_frames) + f.counters.read(RF_COUNT_drop_no_view) == 0) std::this_thread::yield();
  CHECK(f.counters.read(RF_COUNT_drop_ipv6) == 1);
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
