// The vectors of the packet path (test/vectors) in this build, which has sanitizers: each frame in memory of exactly its size. RF_VECTORS names the
// file that `test/vectors/main.ts --lines` has printed.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "../tables/steering_tables.h"
#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint64_t kNow_ns = 5'000'000'000;
constexpr uint64_t kSoon_ns = kNow_ns + 10'000'000;
constexpr uint64_t kLease_ns = 3'600'000'000'000;

#define RF_COUNTER(name, meaning) #name,
constexpr std::array<const char*, RF_COUNTER_COUNT> kCounters = {
#include "../steer/counters.def"
};
#undef RF_COUNTER
constexpr std::array kKinds = {"leave", "pass", "drop", "relay", "reply", "punt"};

Bytes fromHex(const std::string& text) {
  Bytes bytes;
  if (text == "-") return bytes;
  for (std::size_t at = 0; at + 1 < text.size(); at += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(at, 2), nullptr, 16)));
  return bytes;
}

Address ipv6Vip(uint8_t last) { return {RF_ETHERTYPE_IPV6, 0x20010db800000000, last}; }

VipSet vips() {
  const auto pair = [](uint8_t four, uint8_t six, rf_vip state) {
    return std::vector<Vip>{{ipv4Address(ip(10, 77, 0, four)), state}, {ipv6Vip(six), state}};
  };
  std::vector<Vip> all;
  for (const auto& some : {pair(20, 0x20, {kNow_ns, true}), pair(21, 0x21, {0, false}), pair(22, 0x22, {kSoon_ns, true})})
    all.insert(all.end(), some.begin(), some.end());
  return VipSet(std::move(all));
}

struct Home {
  std::unique_ptr<SteeringTable> steering = std::make_unique<SteeringTable>();
  VipSet vip_set = vips();
  FragmentTable fragments{{5, 6}};
  std::atomic<uint64_t> lease_until_ns{kNow_ns};

  explicit Home(std::istringstream& tables) {
    std::string authority, lease;
    tables >> steering->self >> authority >> lease;
    for (uint16_t member = 0; tables >> member;) steering->members.set(member);
    steering->has_view = authority != "0";
    steering->secret = {0x0001020304050607, 0x08090a0b0c0d0e0f};
    for (std::size_t slot = 0; slot < kMaglevSlots; slot++)
      steering->slots[slot] = static_cast<uint16_t>(authority == "spread" ? slot % 3 + 1 : static_cast<unsigned>(std::stoi(authority)));
    if (lease == "valid") lease_until_ns += kLease_ns;
  }

  // As the vectors' lines say it.
  std::string steer(const Bytes& given, uint64_t now_ns) {
    const auto frame = std::make_unique<uint8_t[]>(given.size());
    std::copy(given.begin(), given.end(), frame.get());
    const auto length = static_cast<uint32_t>(given.size());
    const Mac mac = nodeMac(steering->self);
    const rf_tables tables{steering.get(), &vip_set, &fragments, &lease_until_ns};
    const auto work = std::make_unique<rf_work>();
    const rf_verdict verdict = rf_steer(rf_bytes_of(frame.get(), length), mac.data(), &tables, now_ns, work.get());
    std::ostringstream said;
    said << kKinds.at(verdict.kind) << ' ' << verdict.node << ' ' << (verdict.cause == 0 ? "-" : kCounters.at(verdict.cause)) << ' '
         << int{verdict.from_peer} << ' ' << int{verdict.conflict} << ' ';
    if (verdict.kind == RF_VERDICT_RELAY) {
      rf_relay_rewrite(frame.get(), mac.data(), verdict.node);
      print(said, {frame.get(), length});
    } else if (verdict.kind == RF_VERDICT_REPLY) {
      print(said, {work->reply.frame, work->reply.len});
    } else {
      said << '-';
    }
    return said.str();
  }

  static void print(std::ostringstream& to, std::span<const uint8_t> bytes) {
    constexpr const char* digits = "0123456789abcdef";
    for (const uint8_t byte : bytes) to << digits[byte >> 4] << digits[byte & 15];
  }
};

}  // namespace

TEST_CASE("every vector of the packet path has its outcome") {
  const char* path = std::getenv("RF_VECTORS");
  if (path == nullptr) {
    MESSAGE("skipped: RF_VECTORS names no file");
    return;
  }
  std::ifstream file(path);
  REQUIRE(file.is_open());
  std::unique_ptr<Home> home;
  std::string name;
  int frames = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "vector") {
      name = line;
    } else if (word == "tables") {
      home = std::make_unique<Home>(words);
    } else if (word == "frame") {
      uint64_t after_ns = 0;
      std::string hex, expected;
      words >> after_ns >> hex >> std::ws;
      std::getline(words, expected);
      CAPTURE(name);
      CHECK(home->steer(fromHex(hex), kNow_ns + after_ns) == expected);
      frames++;
    }
  }
  CHECK(frames >= 250);
}
