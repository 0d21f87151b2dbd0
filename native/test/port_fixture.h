// A front port over real veth pairs, in a network namespace of the tests' own. Needs the privilege to make one.
#pragma once

#include <doctest/doctest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "../port/clock.h"
#include "../port/front_port.h"
#include "ipv6_packets.h"
#include "packets.h"

namespace rainfront::test {

inline bool ip(const std::string& command) { return std::system(("ip " + command).c_str()) == 0; }

// One namespace for all tests; false where it cannot be had.
inline bool inOwnNamespace() {
  static const bool entered = ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  if (!entered) MESSAGE("skipped: no privilege to make a network namespace");
  return entered;
}

// Up, and nothing of its own to say.
inline void bringUp(const std::string& interface) {
  REQUIRE(std::system(("echo 1 > /proc/sys/net/ipv6/conf/" + interface + "/disable_ipv6").c_str()) == 0);
  REQUIRE(ip("link set " + interface + " up"));
}

// A cable: `here` and `there`, both up, gone at the end.
struct Cable {
  Cable() {
    REQUIRE(ip("link add here type veth peer name there"));
    for (const char* end : {"here", "there"}) bringUp(end);
  }
  ~Cable() { ip("link del here"); }
  void pull() const { REQUIRE(ip("link set there down")); }
  void plug() const { REQUIRE(ip("link set there up")); }
};

inline constexpr uint64_t kMs = 1'000'000;
// For what will happen, however busy the machine is.
inline constexpr int kPatience_ms = 30'000;

// What arrives at an interface, with its tags.
class Listener {
 public:
  explicit Listener(const std::string& interface) : fd_(openPacketSocket()) {
    const int on = 1;
    setPacketOption(fd_, PACKET_IGNORE_OUTGOING, &on, sizeof on, "PACKET_IGNORE_OUTGOING");
    askForTags(fd_);
    bindPacketSocket(fd_, interface, ETH_P_ALL);
  }

  // Frames that arrive until none has come for a while, or `most` are there.
  std::vector<Bytes> take(std::size_t most, int patience_ms = 200) {
    std::vector<Bytes> frames;
    pollfd wait{fd_.get(), POLLIN, 0};
    while (frames.size() < most && ::poll(&wait, 1, patience_ms) > 0) {
      std::array<uint8_t, 2048> buffer;
      // Nothing: the link went down.
      if (const auto frame = receivePacket(fd_, buffer)) frames.emplace_back(frame->begin(), frame->end());
    }
    return frames;
  }

  // Whether this frame arrives, now or soon; others are passed over.
  bool hears(const Bytes& wanted) {
    for (;;) {
      const auto frames = take(1, kPatience_ms);
      if (frames.empty()) return false;
      if (frames[0] == wanted) return true;
    }
  }

 private:
  Fd fd_;
};

inline const uint32_t kVip = ip(192, 0, 2, 101);
inline constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline Vip ours(const Address& address) { return {address, {0, true}}; }
inline Vip theirs(const Address& address) { return {address, {0, false}}; }

inline Bytes arpFrame(const Arp& arp) {
  const ArpFrame frame = writeArp(arp);
  return Bytes(frame.begin(), frame.end());
}
inline Bytes arpQuestion() { return arpFrame({kBroadcast, kStranger, ArpOperation::request, kStranger, {}, 5, kVip}); }
inline Bytes arpAnswer() { return arpFrame({kStranger, nodeMac(1), ArpOperation::reply, nodeMac(1), kStranger, kVip, 5}); }

// `bits` of the IPv4 header: 0x2000 of a first fragment, else where it belongs.
inline Bytes fragment(uint16_t bits) { return ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV4, ipv4({.fragment = bits}, udp(1, 2, 40))); }

inline Bytes udpTo(const Mac& mac) { return ethernet(mac, kStranger, RF_ETHERTYPE_IPV4, ipv4({}, udp(1, 2, 40))); }

// By node 1.
inline Bytes relayedTo(uint16_t node, Bytes frame) {
  rf_mac_copy(frame.data(), nodeMac(node).data());
  rf_mac_copy(frame.data() + RF_MAC_LEN, nodeMac(1).data());
  return frame;
}

// Whichever way its frames go.
struct AnyPortFixture {
  Cable cable;
  Listener listener{"there"};
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  Counters counters{words.data()};
  std::unique_ptr<Port> port;

  PortOptions options() { return {"here", "outer", nodeMac(1), words.data()}; }

  void own() { own({{ipv4Address(kVip), {0, true}}}); }
  void own(const std::vector<Vip>& vips) {
    give(vips);
    port->setLease(monotonicNow_ns() + 60'000 * kMs);
  }
  // Until they are confirmed, which they are not when the machine has put the port's thread aside for longer than a daemon can wait.
  void give(const std::vector<Vip>& vips) {
    const uint64_t until_ns = monotonicNow_ns() + kPatience_ms * kMs;
    while (!port->setVips(VipSet(vips))) REQUIRE(monotonicNow_ns() < until_ns);
  }

  // A view of nodes 1, which is the port's, and 2; every flow is `authority`'s.
  void steerTo(uint16_t authority) {
    auto tables = std::make_shared<SteeringTable>();
    tables->self = 1;
    tables->has_view = true;
    tables->slots.fill(authority);
    tables->members.set(1);
    tables->members.set(2);
    port->setTables(std::move(tables));
  }

  // Waits until so much is counted. False: it takes too long.
  bool counts(int counter, uint64_t wanted) const {
    const uint64_t until_ns = monotonicNow_ns() + kPatience_ms * kMs;
    for (;;) {
      port->collectCounters();
      if (counters.read(counter) >= wanted) return counters.read(counter) == wanted;
      if (monotonicNow_ns() > until_ns) return false;
      std::this_thread::yield();
    }
  }
};

// By packet rings.
struct PortFixture : AnyPortFixture {
  PortFixture() {
    REQUIRE(ip("link add inner type veth peer name outer"));
    for (const char* end : {"inner", "outer"}) bringUp(end);
    port = std::make_unique<FrontPort>(options());
  }
  ~PortFixture() {
    port.reset();
    ip("link del inner");
  }
};

// One right after the other: closing a packet socket takes the kernel tens of milliseconds.
inline void sendFrom(const std::string& interface, const std::vector<Bytes>& frames) {
  const Fd fd = openPacketSocket();
  bindPacketSocket(fd, interface, 0);
  std::vector<iovec> parts;
  for (const Bytes& frame : frames) parts.push_back({const_cast<uint8_t*>(frame.data()), frame.size()});
  std::vector<mmsghdr> messages(frames.size());
  for (std::size_t i = 0; i < parts.size(); i++) {
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  REQUIRE(::sendmmsg(fd.get(), messages.data(), static_cast<unsigned>(messages.size()), 0) == static_cast<int>(frames.size()));
}
inline void sendFrom(const std::string& interface, const Bytes& frame) { sendFrom(interface, std::vector<Bytes>{frame}); }

// Later fragments that come before their first one, of either family.
inline void checkParking(AnyPortFixture& f) {
  const Bytes host = ipv6Host(5), vip = ipv6Host(101);
  const auto fragment6 = [&](uint16_t bits) { return ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, ipv6Fragment(bits, host, vip)); };
  f.own({ours(ipv4Address(kVip)), ours(addressOf(vip))});
  f.steerTo(2);
  const std::array<std::array<Bytes, 2>, 2> datagrams = {{{fragment(0x2000), fragment(6)}, {fragment6(1), fragment6(6 << 3)}}};
  for (const auto& [first, later] : datagrams) {
    sendFrom("there", {later, first});
    CHECK(f.listener.hears(relayedTo(2, first)));
    CHECK(f.listener.hears(relayedTo(2, later)));
  }
  CHECK(f.counts(RF_COUNT_punt_fragment, 2));
  Bytes orphan4 = fragment(6), orphan6 = fragment6(6 << 3);
  orphan4[RF_ETH_HEADER_LEN + 5] ^= 1;  // of other datagrams
  orphan6[RF_ETH_HEADER_LEN + 40 + 7] ^= 1;
  sendFrom("there", {orphan4, orphan6});
  CHECK(f.counts(RF_COUNT_drop_fragment_orphan, 2));
}

// A lease is given up again and again while somebody asks without a pause: when that is confirmed, no frame leaves any more.
inline void giveUpWhileAsked(AnyPortFixture& f) {
  std::atomic<bool> is_over{false};
  std::thread asker([&] {
    const Fd fd = openPacketSocket();
    bindPacketSocket(fd, "there", 0);
    const Bytes question = arpQuestion();
    while (!is_over) (void)!::send(fd.get(), question.data(), question.size(), 0);
  });
  const auto reaches = [&](int counter, uint64_t wanted) {
    const uint64_t until_ns = monotonicNow_ns() + kPatience_ms * kMs;
    for (f.port->collectCounters(); f.counters.read(counter) < wanted; f.port->collectCounters()) {
      if (monotonicNow_ns() > until_ns) return false;
      std::this_thread::yield();
    }
    return true;
  };
  int late = 0, asked = 0;
  for (int round = 0; round < 300; round++) {
    f.own();
    asked += reaches(RF_COUNT_arp_answered, f.counters.read(RF_COUNT_arp_answered) + 5);
    if (!f.port->setLease(0)) continue;  // the machine put the port's thread aside for longer than a daemon can wait
    f.port->collectCounters();
    const uint64_t sent = f.counters.read(RF_COUNT_tx_frames);
    asked += reaches(RF_COUNT_arp_lease_void, f.counters.read(RF_COUNT_arp_lease_void) + 5);
    late += f.counters.read(RF_COUNT_tx_frames) != sent;
  }
  is_over = true;
  asker.join();
  CHECK(asked > 300);
  CHECK(late == 0);
}

}  // namespace rainfront::test
