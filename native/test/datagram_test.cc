// Datagram ports on a loopback interface of the tests' own, whose MTU is an Ethernet's. Needs the privilege to make a network namespace.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <thread>

#include "../datagram/datagram_port.h"

using namespace rainfront;
using namespace rainfront::datagram;

namespace {

constexpr uint16_t kPort = 7400;

uint32_t address(const char* text) { return ::inet_addr(text); }

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A port with its memory.
struct Host {
  Host(std::vector<uint32_t> addresses, std::vector<Peer> peers, std::size_t slots = 8)
      : incoming(slots * kSlotBytes), arrivals(slots * kPartsMax), port({addresses, kPort, peers, 1 << 20, incoming, arrivals, outgoing, departures}) {}

  void lay(int32_t peer, int32_t length, uint8_t fill) {
    std::fill_n(outgoing.begin() + used, length, fill);
    departures[static_cast<std::size_t>(count++)] = {peer, used, length};
    used += length;
  }
  void flush() {
    REQUIRE(port.flush(static_cast<std::size_t>(count)));
    count = used = 0;
  }
  // The next call that has something to say.
  Wake wait() {
    for (;;) {
      pollfd poll{port.fd(), POLLIN, 0};
      REQUIRE(::poll(&poll, 1, 10'000) == 1);
      const Wake wake = port.receive();
      port.done();
      if (wake.count > 0 || wake.timer) return wake;
    }
  }
  bool isSilent() {
    pollfd poll{port.fd(), POLLIN, 0};
    return ::poll(&poll, 1, 0) == 0;
  }
  uint8_t firstByte(std::size_t arrival) { return incoming[static_cast<std::size_t>(arrivals[arrival].offset)]; }

  std::vector<uint8_t> incoming;
  std::vector<Arrival> arrivals;
  std::vector<uint8_t> outgoing = std::vector<uint8_t>(1 << 20);
  std::vector<Departure> departures = std::vector<Departure>(512);
  DatagramPort port;
  int32_t count = 0;
  int32_t used = 0;
};

// Runs the test in a thread that has a namespace of its own; the other tests' threads stay where they are.
template <typename Test>
void inOwnNamespace(Test test) {
  bool entered = false;
  std::exception_ptr failure;
  std::thread([&] {
    entered = ::unshare(CLONE_NEWNET) == 0;
    if (!entered) return;
    try {
      REQUIRE(std::system("ip link set lo mtu 1500 up") == 0);
      test();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
  if (!entered) MESSAGE("skipped: no privilege to make a network namespace");
}

const uint32_t kHere = address("127.0.0.1");
const uint32_t kThere = address("127.0.0.2");

}  // namespace

TEST_CASE("datagrams of one size go as one packet, and are listed one by one") {
  inOwnNamespace([] {
    Host here({kHere}, {{0, kThere}});
    Host there({kThere}, {{0, kHere}});
    for (uint8_t i = 0; i < 45; i++) here.lay(0, i < 44 ? 1400 : 99, i);
    here.flush();
    CHECK(there.wait().count == 45);
    for (std::size_t i = 0; i < 45; i++) {
      CHECK(there.firstByte(i) == i);
      CHECK(there.arrivals[i].length == (i < 44 ? 1400 : 99));
      CHECK(there.arrivals[i].peer == 0);
    }
    CHECK(here.port.counter(Counter::merged_out) == 1);
    CHECK(there.port.counter(Counter::merged_in) == 1);
  });
}

TEST_CASE("datagrams beyond the MTU arrive in spite of the kernel's refusal to split, which is asked for once") {
  inOwnNamespace([] {
    Host here({kHere}, {{0, kThere}});
    Host there({kThere}, {{0, kHere}});
    for (int round = 0; round < 2; round++) {
      for (uint8_t i = 0; i < 4; i++) here.lay(0, 3000, i);
      here.flush();
      uint32_t heard = 0;
      while (heard < 4) {
        const uint32_t count = there.wait().count;
        for (std::size_t i = 0; i < count; i++) CHECK(there.firstByte(i) == heard++);
      }
    }
    CHECK(here.port.counter(Counter::merge_refused) == 1);
    CHECK(here.port.counter(Counter::datagrams_out) == 8);
    // Smaller ones are merged all the same.
    for (uint8_t i = 0; i < 4; i++) here.lay(0, 1000, i);
    here.flush();
    CHECK(here.port.counter(Counter::merged_out) == 1);
  });
}

TEST_CASE("what cannot be sent is counted by its cause, and does not keep the rest") {
  inOwnNamespace([] {
    Host here({kHere}, {{0, kThere}, {0, address("192.0.2.1")}, {0, address("127.0.0.3")}, {0, kThere}});
    Host there({kThere}, {});
    for (uint8_t i = 0; i < 8; i++) here.lay(i % 4, 100, i);
    here.lay(1, 10, 8);
    here.lay(0, 65508, 9);
    here.lay(0, 10, 10);
    here.flush();
    uint32_t heard = 0;
    while (heard < 5) heard += there.wait().count;
    CHECK(there.arrivals[0].peer == -1);
    CHECK(here.port.counter(Counter::datagrams_out) == 7);
    CHECK(here.port.counter(Counter::send_too_big) == 1);
    CHECK(here.port.counter(Counter::send_unreachable) == 3);
  });
}

TEST_CASE("departures outside the slab or to no peer are not sent") {
  inOwnNamespace([] {
    Host here({kHere}, {{0, kThere}});
    Host there({kThere}, {});
    here.lay(0, 10, 1);
    for (const Departure& bad : {Departure{1, 0, 1}, Departure{-1, 0, 1}, Departure{0, -1, 1}, Departure{0, 1 << 20, 1}, Departure{0, 5, INT32_MAX}}) {
      here.departures[1] = bad;
      CHECK_FALSE(here.port.flush(2));
      CHECK(there.wait().count == 1);
    }
    CHECK_FALSE(here.port.flush(here.departures.size() + 1));
  });
}

TEST_CASE("sockets take turns, and no more is taken than the slab holds") {
  inOwnNamespace([] {
    Host here({kHere}, {{0, kThere}, {0, address("127.0.0.3")}});
    Host there({kThere, address("127.0.0.3")}, {}, 4);
    for (int i = 0; i < 20; i++) here.lay(0, 100 + i, 0);  // growing: none is merged
    here.lay(1, 50, 1);
    here.flush();
    const Wake wake = there.wait();
    CHECK(wake.count <= 4);
    CHECK(std::any_of(there.arrivals.begin(), there.arrivals.begin() + wake.count, [](const Arrival& a) { return a.path == 1; }));
    uint32_t heard = wake.count;
    while (heard < 21) heard += there.wait().count;
    CHECK(there.isSilent());
  });
}

TEST_CASE("the timer fires once, at the time that was set last") {
  inOwnNamespace([] {
    Host host({kHere}, {});
    const int64_t at = now_ns() + 20'000'000;
    host.port.setTimer(now_ns() + 1'000'000);
    host.port.setTimer(at);
    CHECK(host.wait().timer);
    CHECK(now_ns() >= at);
    CHECK(host.isSilent());
    host.port.setTimer(at);  // the same time again: it has passed
    CHECK(host.wait().timer);
    host.port.setTimer(now_ns() - 1);
    host.port.setTimer(0);
    CHECK(host.isSilent());
  });
}

TEST_CASE("a due timer lets what came before pass, and a flood does not hold it for ever") {
  inOwnNamespace([] {
    Host here({kHere}, {{0, kThere}});
    Host there({kThere}, {}, 1);
    for (int i = 0; i < 3; i++) here.lay(0, 100 + i, 0);
    here.flush();
    there.port.setTimer(1);
    // One packet per call; the call that takes the last one does not know that it is.
    for (int i = 0; i < 3; i++) CHECK_FALSE(there.wait().timer);
    CHECK(there.wait().timer);
    there.port.setTimer(1);
    bool fired = false;
    for (int call = 0; call < 20 && !fired; call++) {
      for (int i = 0; i < 3; i++) here.lay(0, 100 + i, 0);
      here.flush();
      fired = there.wait().timer;
    }
    CHECK(fired);
  });
}

TEST_CASE("an address that cannot be had is refused by the system's name of the error") {
  inOwnNamespace([] {
    const auto codeOf = [](uint32_t wanted) -> std::string {
      try {
        Host host({wanted}, {});
        return "opened";
      } catch (const PortError& error) {
        return error.code;
      }
    };
    Host taken({kHere}, {});
    CHECK(codeOf(kHere) == "EADDRINUSE");
    CHECK(codeOf(address("192.0.2.1")) == "EADDRNOTAVAIL");
    CHECK(codeOf(kThere) == "opened");
  });
}

TEST_CASE("a killed process loses its ring's sockets before its connections") {
  const Fd connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UdpSocket ring(address("127.0.0.1"), 0, 1 << 16);
  const Fd later(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(ring.fd() >= 1000);
  CHECK(ring.fd() > std::max(connection.get(), later.get()));
}
