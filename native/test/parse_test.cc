#include <doctest/doctest.h>

#include <random>

#include "packets.h"

using namespace rainfront;
using namespace rainfront::test;

TEST_CASE("both directions of a flow have one key") {
  const Ipv4 there{RF_PROTO_TCP, ip(198, 51, 100, 7), ip(10, 77, 0, 20)};
  const Ipv4 back{RF_PROTO_TCP, ip(10, 77, 0, 20), ip(198, 51, 100, 7)};
  CHECK(sameKey(keyOf(ipv4(there, tcp(40000, 80))), keyOf(ipv4(back, tcp(80, 40000)))));
  CHECK_FALSE(sameKey(keyOf(ipv4(there, tcp(40000, 80))), keyOf(ipv4(there, tcp(80, 40000)))));
  CHECK_FALSE(sameKey(keyOf(ipv4(there, tcp(40000, 80))), keyOf(ipv4(there, tcp(40001, 80)))));
}

TEST_CASE("a flow between two ports of one host has one key in both directions") {
  const uint32_t host = ip(10, 0, 0, 1);
  CHECK(sameKey(keyOf(ipv4({RF_PROTO_UDP, host, host}, udp(5, 9))), keyOf(ipv4({RF_PROTO_UDP, host, host}, udp(9, 5)))));
}

TEST_CASE("the protocol is part of the key") {
  CHECK_FALSE(sameKey(keyOf(ipv4({RF_PROTO_TCP}, tcp(1, 2))), keyOf(ipv4({RF_PROTO_UDP}, udp(1, 2)))));
}

TEST_CASE("IP options move the ports and do not change the key") {
  CHECK(sameKey(keyOf(ipv4({RF_PROTO_UDP}, udp(53, 4242))), keyOf(ipv4({RF_PROTO_UDP, ip(198, 51, 100, 7), ip(10, 77, 0, 20), 0, 10}, udp(53, 4242)))));
}

TEST_CASE("an echo request and its reply have one key, another identifier another") {
  const Ipv4 there{RF_PROTO_ICMP, ip(198, 51, 100, 7), ip(10, 77, 0, 20)};
  const Ipv4 back{RF_PROTO_ICMP, ip(10, 77, 0, 20), ip(198, 51, 100, 7)};
  CHECK(sameKey(keyOf(ipv4(there, icmp(8, 77))), keyOf(ipv4(back, icmp(0, 77)))));
  CHECK_FALSE(sameKey(keyOf(ipv4(there, icmp(8, 77))), keyOf(ipv4(there, icmp(8, 78)))));
}

TEST_CASE("an ICMP error belongs to the flow that it quotes, whoever sends it") {
  const Ipv4 there{RF_PROTO_TCP, ip(198, 51, 100, 7), ip(10, 77, 0, 20)};
  const Bytes original = ipv4(there, tcp(40000, 80, 100));
  const Bytes quoted(original.begin(), original.begin() + 28);
  for (const uint8_t type : std::initializer_list<uint8_t>{3, 4, 5, 11, 12}) {
    CAPTURE(type);
    const Bytes error = ipv4({RF_PROTO_ICMP, ip(172, 16, 0, 1), ip(198, 51, 100, 7)}, icmp(type, 0, quoted));
    CHECK(sameKey(keyOf(error), keyOf(original)));
  }
  const Bytes ping = ipv4({RF_PROTO_ICMP, ip(198, 51, 100, 7), ip(10, 77, 0, 20)}, icmp(8, 99));
  CHECK(sameKey(keyOf(ipv4({RF_PROTO_ICMP, ip(172, 16, 0, 1), ip(198, 51, 100, 7)}, icmp(11, 0, ping))), keyOf(ping)));
}

TEST_CASE("\"don't fragment\" is not a fragment") {
  Ipv4 whole{RF_PROTO_UDP};
  whole.fragment = 0x4000;
  CHECK(sameKey(keyOf(ipv4(whole, udp(1, 2))), keyOf(ipv4({RF_PROTO_UDP}, udp(1, 2)))));
}

TEST_CASE("Ethernet padding behind a short packet is not part of it") {
  const Bytes packet = ipv4({RF_PROTO_UDP}, udp(1, 2));
  CHECK(sameKey(keyOf(packet + Bytes(18, 0)), keyOf(packet)));
}

TEST_CASE("protocols without ports are keyed by their addresses") {
  CHECK(sameKey(keyOf(ipv4({47}, Bytes(4, 1))), keyOf(ipv4({47}, Bytes(40, 2)))));
}

TEST_CASE("headers that contradict themselves are malformed") {
  rf_flow_key key{};
  Bytes packet = ipv4({RF_PROTO_UDP}, udp(1, 2));
  SUBCASE("version") { packet[0] = 0x65; }
  SUBCASE("header shorter than 20 bytes") { packet[0] = 0x44; }
  SUBCASE("header longer than the packet") { packet[0] = 0x4f; }
  SUBCASE("total length shorter than the header") { rf_store16(packet.data() + 2, 19); }
  SUBCASE("total length longer than the frame") { rf_store16(packet.data() + 2, static_cast<uint16_t>(packet.size() + 1)); }
  SUBCASE("cut off") { packet.resize(19); }
  SUBCASE("empty") { packet.clear(); }
  CHECK(parseFault(packet, key) == RF_COUNT_drop_malformed_ip);
}

TEST_CASE("transport headers that are cut off are malformed") {
  rf_flow_key key{};
  CHECK(parseFault(ipv4({RF_PROTO_UDP}, Bytes(7, 0)), key) == RF_COUNT_drop_malformed_l4);
  CHECK(parseFault(ipv4({RF_PROTO_TCP}, Bytes(19, 0)), key) == RF_COUNT_drop_malformed_l4);
  CHECK(parseFault(ipv4({RF_PROTO_ICMP}, Bytes(7, 0)), key) == RF_COUNT_drop_malformed_l4);
  CHECK(parseFault(ipv4({RF_PROTO_ICMP}, icmp(3, 0, Bytes(19, 0x45))), key) == RF_COUNT_drop_malformed_l4);
  const Bytes original = ipv4({RF_PROTO_TCP}, tcp(1, 2));
  CHECK(parseFault(ipv4({RF_PROTO_ICMP}, icmp(3, 0, Bytes(original.begin(), original.begin() + 27))), key) == RF_COUNT_drop_malformed_l4);
}

TEST_CASE("every packet cut off at every length, and random bytes, are parsed within their bounds") {
  rf_flow_key key{};
  const Bytes original = ipv4({RF_PROTO_TCP}, tcp(1, 2, 8));
  for (const Bytes& whole : {original, ipv4({RF_PROTO_ICMP}, icmp(3, 0, original))}) {
    for (std::size_t length = 0; length < whole.size(); length++) {
      CHECK(parseFault(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)), key) == RF_COUNT_drop_malformed_ip);
    }
  }
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; i++) {
    Bytes noise(random() % 80);
    for (auto& byte : noise) byte = static_cast<uint8_t>(random());
    if (!noise.empty() && i % 2 == 0) noise[0] = static_cast<uint8_t>(0x40 | (random() % 16));
    const uint16_t fault = parseFault(noise, key);
    CHECK_MESSAGE((fault == 0 || fault == RF_COUNT_drop_malformed_ip || fault == RF_COUNT_drop_malformed_l4), fault);
  }
}
