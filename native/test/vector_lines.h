// The vectors of the packet path as lines of words, which test/vectors/main.ts --lines has printed; RF_VECTORS names the file. Read by the homes
// of the pipeline that are tested from C++.
#pragma once

#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "../steer/counters.h"
#include "../tables/steering_tables.h"
#include "packets.h"

namespace rainfront::test {

inline constexpr uint64_t kVectorNow_ns = 5'000'000'000;
inline constexpr uint64_t kVectorSoon_ns = kVectorNow_ns + 10'000'000;
inline constexpr uint64_t kVectorLease_ns = 36'000'000'000'000;
inline constexpr rf_hash_key kVectorSecret = {0x0001020304050607, 0x08090a0b0c0d0e0f};

#define RF_COUNTER(name, meaning) #name,
inline constexpr std::array<const char*, RF_COUNTER_COUNT> kCounterNames = {
#include "../steer/counters.def"
};
#undef RF_COUNTER

struct VectorFrame {
  uint64_t now_ns;
  Bytes frame;
  std::string kind;
  uint16_t node;
  std::string cause;  // "-": none
  bool from_peer;
  bool conflict;
  uint16_t told;  // 0: nobody is
  Bytes out;  // of a relay or reply
};

struct Vector {
  std::string name;
  uint16_t self = 0;
  std::string authority;  // a node, 0 for no view, or "spread"
  bool has_lease = false;
  bool has_ipv6 = true;
  std::vector<uint16_t> members;
  std::vector<rf_departed> departed;
  std::shared_ptr<AssignmentTable> assignment;
  std::vector<ServiceSet::Service> services;
  rf_port_ranges port_ranges{};
  std::vector<std::pair<rf_flow_key, rf_assignment>> known;
  std::vector<VectorFrame> frames;

  uint64_t leaseUntil_ns() const { return has_lease ? kVectorNow_ns + kVectorLease_ns : kVectorNow_ns; }
  std::unique_ptr<SteeringTable> table() const {
    auto table = std::make_unique<SteeringTable>();
    table->self = self;
    table->has_view = authority != "0";
    table->secret = kVectorSecret;
    for (std::size_t slot = 0; slot < kMaglevSlots; slot++) table->slots[slot] = nodeOf(slot);
    for (const uint16_t member : members) table->members.set(member);
    std::copy(departed.begin(), departed.end(), table->departed.begin());
    table->port_ranges = port_ranges;
    if (assignment) assignment->services = ServiceSet(services);
    table->assignment = assignment;
    return table;
  }

 private:
  uint16_t nodeOf(std::size_t slot) const { return static_cast<uint16_t>(authority == "spread" ? slot % 3 + 1 : std::stoul(authority)); }
};

inline VipSet vectorVips(bool has_ipv6) {
  std::vector<Vip> vips;
  const auto add = [&](uint8_t four, uint8_t six, bool owned, uint64_t from_ns) {
    vips.push_back({ipv4Address(ip(10, 77, 0, four)), {from_ns, owned}});
    if (has_ipv6) vips.push_back({{RF_ETHERTYPE_IPV6, 0x20010db800000000, six}, {from_ns, owned}});
  };
  add(20, 0x20, true, kVectorNow_ns);
  add(21, 0x21, false, 0);
  add(22, 0x22, true, kVectorSoon_ns);
  return VipSet(std::move(vips));
}

// As homes.ts does it: `epoch` is of the view in which the flow of the frame was assigned.
inline std::pair<rf_flow_key, rf_assignment> knownFlow(uint16_t node, uint32_t epoch, bool is_alias, const Bytes& frame) {
  rf_ethernet eth;
  rf_flow flow;
  const rf_bytes bytes = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  if (rf_parse_ethernet(bytes, &eth) != 0 || rf_parse_flow(eth.ethertype, &bytes, eth.payload, &flow) != 0) throw std::runtime_error("no flow");
  const auto life = flow.key.protocol == RF_PROTO_TCP ? RF_LIFE_STREAM : RF_LIFE_DATAGRAM;
  return {flow.key, {epoch, node, 0, rf_flags_and_life(is_alias ? RF_ASSIGNED_ALIAS : 0, life)}};
}

inline Bytes bytesFromHex(const std::string& text) {
  Bytes bytes;
  if (text == "-") return bytes;
  for (std::size_t at = 0; at + 1 < text.size(); at += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(at, 2), nullptr, 16)));
  return bytes;
}

inline void readAssignment(std::istream& words, Vector& vector) {
  std::string policy, stickiness;
  uint64_t settled_ns = 0;
  uint16_t choice = 0;
  auto assignment = std::make_shared<AssignmentTable>();
  words >> policy >> stickiness >> assignment->epoch >> settled_ns >> choice;
  assignment->stickiness = stickiness == "source" ? RF_STICKS_TO_SOURCE : stickiness == "destination" ? RF_STICKS_TO_DESTINATION : RF_STICKS_TO_NOTHING;
  assignment->policy = policy == "balanced" ? RF_POLICY_BALANCED : RF_POLICY_RECEIVER;
  assignment->settled_ns = kVectorNow_ns + settled_ns;
  assignment->choices.fill(choice);
  for (const uint16_t member : vector.members) assignment->since[member] = 1;
  vector.assignment = std::move(assignment);
}

// `words`: the family, and hex digits.
inline Address readAddress(std::istream& words) {
  unsigned family = 0;
  std::string digits;
  words >> family >> digits;
  if (family == 4) return {RF_ETHERTYPE_IPV4, 0, std::stoull(digits, nullptr, 16)};
  return {RF_ETHERTYPE_IPV6, std::stoull(digits.substr(0, 16), nullptr, 16), std::stoull(digits.substr(16), nullptr, 16)};
}

inline void readService(std::istream& words, Vector& vector) {
  const Address address = readAddress(words);
  unsigned protocol = 0, port = 0;
  std::string policy, stickiness;
  words >> protocol >> port >> policy >> stickiness;
  const auto how = static_cast<uint8_t>(policy == "balanced" ? RF_POLICY_BALANCED : policy == "receiver" ? RF_POLICY_RECEIVER : RF_POLICY_HASH);
  const auto sticks = static_cast<uint8_t>(stickiness == "source" ? RF_STICKS_TO_SOURCE : stickiness == "destination" ? RF_STICKS_TO_DESTINATION : RF_STICKS_TO_NOTHING);
  vector.services.push_back({{{address.high, address.low}, address.family, static_cast<uint16_t>(port), static_cast<uint8_t>(protocol), 0, {}}, {how, sticks}});
}

inline void readPorts(const std::string& word, std::istream& words, rf_port_ranges& all) {
  if (word == "owner") {
    words >> all.owners[all.parts++];
    return;
  }
  const Address address = readAddress(words);
  rf_port_range& range = all.ranges[all.count++];
  range = {{address.high, address.low}, address.family, 0, 0, 0};
  words >> range.first >> range.size;
}

inline void readMember(const std::string& word, std::istream& words, AssignmentTable& assignment) {
  uint16_t node = 0;
  words >> node;
  if (word == "ready") assignment.ready.set(node);
  else words >> assignment.since[node];
}

// Nothing: RF_VECTORS names no file.
inline std::optional<std::vector<Vector>> readVectors() {
  const char* path = std::getenv("RF_VECTORS");
  if (path == nullptr) return std::nullopt;
  std::ifstream file(path);
  if (!file.is_open()) throw std::runtime_error(std::string("cannot be read: ") + path);
  std::vector<Vector> vectors;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word, lease, vips, frame, out;
    words >> word;
    if (word == "vector") {
      vectors.emplace_back();
      vectors.back().name = line;
    } else if (word == "tables") {
      Vector& vector = vectors.back();
      words >> vector.self >> vector.authority >> lease >> vips;
      vector.has_ipv6 = vips == "all";
      vector.has_lease = lease == "valid";
      for (uint16_t member = 0; words >> member;) vector.members.push_back(member);
    } else if (word == "departed") {
      rf_departed one{};
      words >> one.node >> one.until_ns;
      one.until_ns += kVectorNow_ns;
      if (vectors.back().departed.size() == RF_DEPARTED_COUNT) throw std::runtime_error("too many have left");
      vectors.back().departed.push_back(one);
    } else if (word == "assignment") {
      readAssignment(words, vectors.back());
    } else if (word == "service") {
      readService(words, vectors.back());
    } else if (word == "ports" || word == "owner") {
      readPorts(word, words, vectors.back().port_ranges);
    } else if (word == "ready" || word == "since") {
      if (vectors.back().assignment) readMember(word, words, *vectors.back().assignment);
    } else if (word == "known") {
      uint16_t node = 0;
      uint32_t epoch = 0;
      bool is_alias = false;
      words >> node >> epoch >> is_alias >> frame;
      vectors.back().known.push_back(knownFlow(node, epoch, is_alias, bytesFromHex(frame)));
    } else if (word == "frame") {
      VectorFrame one{};
      words >> one.now_ns >> frame >> one.kind >> one.node >> one.cause >> one.from_peer >> one.conflict >> one.told >> out;
      one.now_ns += kVectorNow_ns;
      one.frame = bytesFromHex(frame);
      one.out = bytesFromHex(out);
      vectors.back().frames.push_back(std::move(one));
    }
  }
  return vectors;
}

}  // namespace rainfront::test
