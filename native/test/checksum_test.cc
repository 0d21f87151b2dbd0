#include <doctest/doctest.h>

#include <random>

#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

// The definition of RFC 1071, by ones' complement addition of one word at a time: slow, and written another way.
uint16_t onesComplementSum(const Bytes& bytes) {
  uint16_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const uint32_t word = static_cast<uint32_t>(bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0));
    const uint32_t added = sum + word;
    sum = static_cast<uint16_t>(added > 0xffff ? added - 0xffff : added);
  }
  return sum;
}

Bytes pseudoHeaderAndSegment(const Bytes& packet) {
  Bytes bytes(packet.begin() + 12, packet.begin() + 20);
  append16(bytes, packet[9]);
  append16(bytes, static_cast<uint16_t>(packet.size() - 20));
  return bytes + Bytes(packet.begin() + 20, packet.end());
}

}  // namespace

TEST_CASE("folding leaves no carry for any sum") {
  CHECK(rf_checksum_fold(0x1ffff) == 1);
  CHECK(rf_checksum_fold(0xffffffffull) == 0xffff);
  CHECK(rf_checksum_fold(0xfffffffffffeull) == 0xfffe);
}

TEST_CASE("a completed checksum verifies, whatever stood in its place, for even and odd lengths") {
  std::mt19937 random(2);
  for (int i = 0; i < 20'000; i++) {
    const bool is_tcp = i % 2 == 0;
    const std::size_t payload = random() % 64;
    Bytes packet = ipv4({static_cast<uint8_t>(is_tcp ? RF_PROTO_TCP : RF_PROTO_UDP), static_cast<uint32_t>(random())},
                        is_tcp ? tcp(static_cast<uint16_t>(random()), 80, payload) : udp(static_cast<uint16_t>(random()), 53, payload));
    for (std::size_t at = packet.size() - payload; at < packet.size(); at++) packet[at] = static_cast<uint8_t>(random());
    REQUIRE(rf_complete_checksum(RF_ETHERTYPE_IPV4, packet.data(), static_cast<uint32_t>(packet.size())) == 1);
    const uint16_t sum = onesComplementSum(pseudoHeaderAndSegment(packet));
    CHECK((sum == 0xffff || sum == 0));
    if (!is_tcp) CHECK(rf_load16(packet.data() + 26) != 0);
  }
}

TEST_CASE("packets without a checksum of their own are left alone") {
  Ipv4 fragment{RF_PROTO_UDP};
  fragment.fragment = 0x2000;
  for (const Bytes& packet : {ipv4(fragment, udp(1, 2)), ipv4({RF_PROTO_ICMP}, icmp(8, 1)), ipv4({RF_PROTO_TCP}, Bytes(10, 0)),
                              ipv4({RF_PROTO_UDP}, Bytes(4, 0)), Bytes(10, 0)}) {
    Bytes copy = packet;
    CHECK(rf_complete_checksum(RF_ETHERTYPE_IPV4, copy.data(), static_cast<uint32_t>(copy.size())) == 0);
    CHECK(copy == packet);
  }
}
