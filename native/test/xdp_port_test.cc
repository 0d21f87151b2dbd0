// A front port whose packet path is the XDP program: frames from the segment come in at `here`, what the port sends is heard at `there`, and what it
// passes to the kernel at `inner`, the macvlan with the front MAC. Needs clang and libbpf at build time, and the privilege to load programs.
#include <doctest/doctest.h>

#ifndef RF_HAS_XDP

TEST_CASE("a front port over XDP") { MESSAGE("skipped: built without clang or libbpf"); }

#else

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <optional>
#include <string_view>

#include "../port/offloads.h"
#include "../xdp/driver_features.h"
#include "../xdp/spare.h"
#include "../xdp/xdp_port.h"
#include "port_fixture.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

// False where no program can be loaded.
bool canLoad() {
  try {
    XdpProgram program(nodeMac(1));
    return true;
  } catch (const PortError& error) {
    REQUIRE(error.code == "RF_NO_PRIVILEGE");
    MESSAGE("skipped: " << error.what());
    return false;
  }
}

bool kernelIsBefore(int major, int minor) {
  utsname name{};
  int is_major = 0, is_minor = 0;
  REQUIRE(::uname(&name) == 0);
  REQUIRE(std::sscanf(name.release, "%d.%d", &is_major, &is_minor) == 2);
  return is_major < major || (is_major == major && is_minor < minor);
}

bool possible() { return inOwnNamespace() && canLoad(); }

struct XdpFixture : AnyPortFixture {
  XdpFixture() {
    // What is redirected out of one end arrives where the other one polls.
    writeOffloads("there", kReceiveMerge, kReceiveMerge);
    REQUIRE(ip("link add link here name inner address 02:aa:bb:cc:00:01 type macvlan mode private"));
    bringUp("inner");
    port = std::make_unique<XdpPort>(options());
  }
  ~XdpFixture() {
    port.reset();
    ip("link del inner");
  }
};

// Somebody else's program: lets everything pass.
struct ForeignProgram {
  unsigned nic;
  Fd program;

  explicit ForeignProgram(const std::string& interface) : nic(interfaceIndex(interface)) {
    const std::array<bpf_insn, 2> insns = {{{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
                                            {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
    program = Fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "others", "GPL", insns.data(), insns.size(), nullptr));
    REQUIRE(program.get() >= 0);
    REQUIRE(bpf_xdp_attach(static_cast<int>(nic), program.get(), XDP_FLAGS_DRV_MODE, nullptr) == 0);
  }
  ~ForeignProgram() { bpf_xdp_detach(static_cast<int>(nic), XDP_FLAGS_DRV_MODE, nullptr); }
};

// A NIC whose cable is a file: its driver has XDP, and is no veth.
class Tap {
 public:
  // Nothing where there are none.
  static std::optional<Tap> open(const std::string& name) {
    Tap tap;
    tap.fd_ = Fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (tap.fd_.get() < 0 || ::ioctl(tap.fd_.get(), TUNSETIFF, &request) != 0) {
      MESSAGE("skipped: no tap devices here");
      return std::nullopt;
    }
    bringUp(name);
    return tap;
  }

  void send(const Bytes& frame) const { REQUIRE(::write(fd_.get(), frame.data(), frame.size()) == static_cast<ssize_t>(frame.size())); }

  // Others are passed over.
  bool hears(const Bytes& wanted) const {
    pollfd wait{fd_.get(), POLLIN, 0};
    while (::poll(&wait, 1, kPatience_ms) > 0) {
      Bytes frame(2048);
      const ssize_t size = ::read(fd_.get(), frame.data(), frame.size());
      if (size <= 0) return false;
      frame.resize(static_cast<std::size_t>(size));
      if (frame == wanted) return true;
    }
    return false;
  }

 private:
  Fd fd_;
};

}  // namespace

TEST_CASE("XDP answers for an owner, and falls silent by itself when nobody renews the lease") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));
  f.port->setLease(monotonicNow_ns());
  (void)f.listener.take(100);
  sendFrom("there", arpQuestion());
  CHECK(f.listener.take(1).empty());
  CHECK(f.counts(RF_COUNT_arp_lease_void, 1));
  sendFrom("there", udpTo(nodeMac(1)));
  CHECK(f.counts(RF_COUNT_drop_no_view, 1));
}

TEST_CASE("what was loaded to see whether it can be is the first port's program") {
  if (!possible()) return;
  loadSpareXdp();
  loadSpareXdp();
  {
    XdpFixture f;
    CHECK(takeSpareXdp() == nullptr);
    f.own();
    sendFrom("there", arpQuestion());
    CHECK(f.listener.hears(arpAnswer()));
  }
  loadSpareXdp();
  CHECK(takeSpareXdp() != nullptr);
  CHECK(takeSpareXdp() == nullptr);
}

TEST_CASE("a VIP that went to another node is not answered any more, and the next owner's start is waited for") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));
  f.own({theirs(ipv4Address(kVip))});
  sendFrom("there", arpQuestion());
  CHECK(f.counts(RF_COUNT_arp_not_owner, 1));
  f.own({{ipv4Address(kVip), {monotonicNow_ns() + 30'000 * kMs, true}}});
  sendFrom("there", arpQuestion());
  CHECK(f.counts(RF_COUNT_arp_held_back, 1));
  CHECK(f.counts(RF_COUNT_arp_answered, 1));
}

TEST_CASE("owners change as often as they like") {
  if (!possible()) return;
  XdpFixture f;
  std::vector<Vip> vips;
  for (uint8_t last = 1; last <= 200; last++) vips.push_back(theirs(ipv4Address(ip(192, 0, 2, last))));
  for (uint64_t round = 1; round <= 300; round++) {
    for (Vip& vip : vips) vip.state = {round, (vip.address.low + round) % 2 == 0};
    f.own(vips);
  }
  for (Vip& vip : vips) vip.state = {0, vip.address.low == kVip};
  f.own(vips);
  sendFrom("there", arpQuestion());
  CHECK(f.counts(RF_COUNT_arp_answered, 1));
}

TEST_CASE("XDP sends no answer by a lease that was given up") {
  if (!possible()) return;
  XdpFixture f;
  giveUpWhileAsked(f);
}

TEST_CASE("a takeover is announced, and again when a stranger claims the VIP") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  const Bytes announcement = arpFrame({kBroadcast, nodeMac(1), ArpOperation::request, nodeMac(1), {}, kVip, kVip});
  CHECK(f.listener.hears(announcement));
  CHECK(f.counts(RF_COUNT_arp_announced, 5));  // at 0, 10, 50, 200 ms and 1 s; the next one is far off
  (void)f.listener.take(100, 0);
  Listener inner("inner");
  sendFrom("there", arpFrame({kBroadcast, kStranger, ArpOperation::request, kStranger, {}, kVip, kVip}));
  CHECK(inner.take(1).empty());
  CHECK(f.listener.hears(announcement));
  CHECK(f.counts(RF_COUNT_arp_conflict, 1));
}

TEST_CASE("XDP relays to the node that handles a flow, and what is handled here reaches the kernel with the front MAC") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  f.steerTo(2);
  sendFrom("there", udpTo(nodeMac(1)));
  CHECK(f.listener.hears(relayedTo(2, udpTo(nodeMac(1)))));
  f.steerTo(1);
  Listener inner("inner");
  sendFrom("there", udpTo(nodeMac(1)));
  CHECK(inner.hears(udpTo(nodeMac(1))));
  CHECK(f.counts(RF_COUNT_pass_frames, 1));
  CHECK(f.counts(RF_COUNT_relay_out_frames, 1));
}

TEST_CASE("a fragment that came before its first one follows it, and one whose first one never comes is given up") {
  if (!possible()) return;
  XdpFixture f;
  checkParking(f);
  f.steerTo(1);
  Listener inner("inner");
  Bytes first = fragment(0x2000), later = fragment(6);
  for (Bytes* frame : {&first, &later}) (*frame)[RF_ETH_HEADER_LEN + 4] ^= 1;  // a third datagram
  sendFrom("there", {later, first});
  CHECK(inner.hears(first));
  CHECK(inner.hears(later));
}

TEST_CASE("XDP keeps the tags of relays and of answers") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  f.steerTo(2);
  for (const auto& around : {+[](const Bytes& frame) { return tagged(0x600a, frame); }, +[](const Bytes& frame) { return tagged(10, frame, RF_ETHERTYPE_SERVICE_VLAN); },
                             +[](const Bytes& frame) { return tagged(10, tagged(20, frame), RF_ETHERTYPE_SERVICE_VLAN); }}) {
    sendFrom("there", around(udpTo(nodeMac(1))));
    CHECK(f.listener.hears(around(relayedTo(2, udpTo(nodeMac(1))))));
    sendFrom("there", around(arpQuestion()));
    CHECK(f.listener.hears(around(arpAnswer())));
  }
}

TEST_CASE("XDP takes IPv6 as soon as there is a VIP of it, and for as long") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  f.steerTo(2);
  const Bytes frame = ethernet(nodeMac(1), kStranger, RF_ETHERTYPE_IPV6, ipv6(RF_PROTO_UDP, ipv6Host(5), ipv6Host(101), udp(1, 2, 40)));
  sendFrom("there", frame);
  CHECK(f.counts(RF_COUNT_drop_ipv6, 1));
  f.own({ours(ipv4Address(kVip)), theirs(addressOf(ipv6Host(101)))});
  sendFrom("there", frame);
  CHECK(f.listener.hears(relayedTo(2, frame)));
  f.port.reset();  // its program goes on
  f.port = std::make_unique<XdpPort>(f.options());
  sendFrom("there", frame);
  CHECK(f.listener.hears(relayedTo(2, frame)));
  f.own();
  sendFrom("there", frame);
  CHECK(f.counts(RF_COUNT_drop_ipv6, 2));
}

TEST_CASE("XDP keeps no fragment for when there is a view") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  sendFrom("there", fragment(6));
  CHECK(f.counts(RF_COUNT_drop_no_view, 1));
  CHECK(f.counts(RF_COUNT_punt_fragment, 0));
}

TEST_CASE("a port that was not removed leaves its program at work, and the next one goes on with it") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  f.port.reset();
  const unsigned nic = interfaceIndex("here");
  REQUIRE(attachedXdp(nic));
  CHECK(attachedXdp(nic)->is_ours);
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));
  f.port = std::make_unique<XdpPort>(f.options());
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));
  CHECK(f.counts(RF_COUNT_arp_answered, 2));
  f.port->remove();
  CHECK(!attachedXdp(nic));
}

TEST_CASE("somebody else's XDP program is neither replaced nor taken off") {
  if (!possible()) return;
  const Cable cable;
  const ForeignProgram others("here");
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  std::string code;
  try {
    XdpPort port({"here", "", nodeMac(1), words.data()});
  } catch (const PortError& error) {
    code = error.code;
    CHECK(std::string(error.what()).find("others") != std::string::npos);
  }
  CHECK(code == "RF_XDP_TAKEN");
  CHECK(!detachXdp(others.nic));
  REQUIRE(attachedXdp(others.nic));
  CHECK(attachedXdp(others.nic)->name == "others");
}

TEST_CASE("a version that counts one thing more serves on by the tables of the one before, and counts anew") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  sendFrom("there", arpQuestion());
  CHECK(f.counts(RF_COUNT_arp_answered, 1));
  f.port.reset();
  const auto without = [&](std::string_view name) {
    auto earlier = attachedXdp(interfaceIndex("here"));
    REQUIRE(earlier);
    std::vector<Fd> maps;
    for (Fd& map : earlier->maps) {
      bpf_map_info info{};
      uint32_t size = sizeof info;
      REQUIRE(bpf_obj_get_info_by_fd(map.get(), &info, &size) == 0);
      if (info.name != name) maps.push_back(std::move(map));
    }
    return maps;
  };
  const XdpProgram counts_more(nodeMac(1), nullptr, without("counts"));
  CHECK(counts_more.leaseUntil_ns() > monotonicNow_ns());
  CHECK(counts_more.counters()[RF_COUNT_arp_answered] == 0);
  const XdpProgram has_other_vips(nodeMac(1), nullptr, without("vip_starts"));
  CHECK(has_other_vips.leaseUntil_ns() == 0);
  detachXdp(interfaceIndex("here"));
}

TEST_CASE("a program that was taken off is put back with all that it knows, and not over somebody else's") {
  if (!possible()) return;
  XdpFixture f;
  f.own();
  f.steerTo(2);
  const int nic = static_cast<int>(interfaceIndex("here"));
  CHECK(!f.port->attachAgain());
  REQUIRE(bpf_xdp_detach(nic, XDP_FLAGS_DRV_MODE, nullptr) == 0);
  CHECK(f.port->attachAgain());
  CHECK(leaseUntil_ns(*attachedXdp(static_cast<unsigned>(nic))) > monotonicNow_ns());
  sendFrom("there", arpQuestion());
  CHECK(f.listener.hears(arpAnswer()));
  sendFrom("there", udpTo(nodeMac(1)));
  CHECK(f.listener.hears(relayedTo(2, udpTo(nodeMac(1)))));
  REQUIRE(bpf_xdp_detach(nic, XDP_FLAGS_DRV_MODE, nullptr) == 0);
  const ForeignProgram others("here");
  std::string code;
  try {
    f.port->attachAgain();
  } catch (const PortError& error) {
    code = error.code;
  }
  CHECK(code == "RF_XDP_TAKEN");
}

TEST_CASE("a driver says whether it runs XDP programs") {
  if (!inOwnNamespace()) return;
  Cable cable;
  if (kernelIsBefore(6, 3)) {
    MESSAGE("skipped: kernels before 6.3 do not say");
    return;
  }
  CHECK(driverRunsXdp(interfaceIndex("here")) == true);
  CHECK(driverRunsXdp(interfaceIndex("lo")) == false);
  CHECK(driverRunsXdp(1'000'000) == std::nullopt);
}

TEST_CASE("out of a NIC that is no veth, frames go by XDP_TX") {
  if (!possible()) return;
  const auto tap = Tap::open("tap0");
  if (!tap) return;
  std::array<uint64_t, RF_COUNTER_COUNT> words{};
  XdpPort port({"tap0", "", nodeMac(1), words.data()});
  CHECK(port.mode() == "xdp");
  CHECK(port.setVips(VipSet({ours(ipv4Address(kVip))})));
  port.setLease(monotonicNow_ns() + 60'000 * kMs);
  auto tables = std::make_shared<SteeringTable>();
  tables->self = 1;
  tables->has_view = true;
  tables->slots.fill(2);
  tables->members.set(1);
  tables->members.set(2);
  port.setTables(tables);
  tap->send(arpQuestion());
  CHECK(tap->hears(arpAnswer()));
  tap->send(udpTo(nodeMac(1)));
  CHECK(tap->hears(relayedTo(2, udpTo(nodeMac(1)))));
  port.remove();
}

#endif
