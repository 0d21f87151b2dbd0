#include <doctest/doctest.h>

#include <memory>
#include <random>

#include "../tables/flow_batch.h"
#include "vector_lines.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint64_t kNow_ns = 1'000'000;
constexpr uint64_t kLife_ns = 60'000'000'000;

// Node 1 in a view of nodes 1, 2 and 3, which share the slots.
struct Node {
  std::atomic<uint64_t> lease_until_ns{kNow_ns + 1};
  std::unique_ptr<SteeringTable> steering = std::make_unique<SteeringTable>();
  VipSet vips{{{ipv4Address(ip(10, 77, 0, 20)), {0, 1}}}};
  FragmentTable fragments{{5, 6}};
  rf_tables tables{steering.get(), &vips, &fragments, &lease_until_ns};
  FlowTable flows{1000, kLife_ns};
  std::unique_ptr<FlowBatch> batch = std::make_unique<FlowBatch>();

  Node() {
    steering->self = 1;
    steering->has_view = true;
    steering->secret = {1, 2};
    for (std::size_t slot = 0; slot < kMaglevSlots; slot++) steering->slots[slot] = static_cast<uint16_t>(slot % 3 + 1);
    for (std::size_t node = 1; node <= 3; node++) steering->members.set(node);
  }

  std::vector<rf_verdict> steerAll(const std::vector<Bytes>& frames) {
    std::vector<rf_bytes> all;
    for (const Bytes& frame : frames) all.push_back(bytesOf(frame));
    batch->steer(all, nodeMac(1).data(), tables, flows, kNow_ns);
    std::vector<rf_verdict> verdicts;
    for (std::size_t i = 0; i < frames.size(); i++) verdicts.push_back(batch->verdict(i));
    return verdicts;
  }
  rf_verdict steerInBatch(const Bytes& frame) { return steerAll({frame}).at(0); }

  rf_verdict steerAlone(const Bytes& frame) {
    rf_work work;
    const rf_bytes bytes = bytesOf(frame);
    return rf_steer(&bytes, bytes, nodeMac(1).data(), &tables, kNow_ns, &work);
  }
};

bool same(const rf_verdict& a, const rf_verdict& b) {
  return a.kind == b.kind && a.cause == b.cause && a.node == b.node && a.from_peer == b.from_peer && a.conflict == b.conflict;
}

Bytes udpFrom(uint16_t port, const Mac& source = kStranger) { return ethernet(nodeMac(1), source, RF_ETHERTYPE_IPV4, ipv4({}, udp(port, 53))); }

Bytes arpQuestion() {
  Bytes question = {0, 1, 8, 0, 6, 4, 0, 1};
  question.insert(question.end(), kStranger.begin(), kStranger.end());
  append32(question, ip(10, 77, 0, 9));
  question.resize(question.size() + 6);
  append32(question, ip(10, 77, 0, 20));
  return ethernet({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, kStranger, RF_ETHERTYPE_ARP, question);
}

// A port whose packets have this authority.
uint16_t portOf(const Node& node, uint16_t authority, uint16_t from = 1) {
  for (uint16_t port = from; port != 0; port++) {
    const rf_flow_key key = keyOf(ipv4({}, udp(port, 53)));
    if (rf_tables_authority_of(&node.tables, rf_tables_flow_hash(&node.tables, &key)) == authority) return port;
  }
  return 0;
}

}  // namespace

TEST_CASE("a batch of all kinds of frames gets the verdicts of each alone, whether its flows are known or new") {
  Node node;
  std::mt19937 random(5);
  for (int round = 0; round < 300; round++) {
    std::vector<Bytes> frames;
    const std::size_t size = round % (FlowBatch::kFrames_max + 1);
    while (frames.size() < size) {
      const uint16_t port = static_cast<uint16_t>(random() % 500 + 1);
      const Mac source = random() % 4 == 0 ? nodeMac(static_cast<uint16_t>(random() % 4 + 1)) : kStranger;
      Bytes frame = udpFrom(port, source);
      if (random() % 8 == 0) frame = arpQuestion();
      if (random() % 8 == 0) frame[5] = 77;
      if (random() % 8 == 0) frame.resize(random() % frame.size());
      if (random() % 8 == 0) frame = ethernet(nodeMac(1), source, RF_ETHERTYPE_IPV4, ipv4({RF_PROTO_TCP}, tcp(port, 80)));
      frames.push_back(std::move(frame));
    }
    const auto verdicts = node.steerAll(frames);
    for (std::size_t i = 0; i < frames.size(); i++) REQUIRE(same(verdicts[i], node.steerAlone(frames[i])));
  }
  CHECK(node.flows.size() > 500);
}

TEST_CASE("a batch answers what is to be answered") {
  Node node;
  const auto verdicts = node.steerAll({udpFrom(1), arpQuestion(), udpFrom(2)});
  REQUIRE(verdicts[1].kind == RF_VERDICT_REPLY);
  CHECK(macAt(node.batch->reply(1).frame) == kStranger);
  CHECK(macAt(node.batch->reply(1).frame + 6) == nodeMac(1));
}

TEST_CASE("a flow stays with its node when its slot gets another authority") {
  Node node;
  const Bytes frame = udpFrom(portOf(node, 2));
  CHECK(node.steerInBatch(frame).node == 2);
  node.steering->slots.fill(3);
  CHECK(node.steerAlone(frame).node == 3);
  CHECK(node.steerInBatch(frame).node == 2);
}

TEST_CASE("a flow whose node has left the view goes to its authority, and stays there") {
  Node node;
  const Bytes frame = udpFrom(portOf(node, 2));
  node.steerInBatch(frame);
  node.steering->members.reset(2);
  node.steering->slots.fill(3);
  CHECK(node.steerInBatch(frame).node == 3);
  node.steering->slots.fill(1);
  CHECK(node.steerInBatch(frame).node == 3);
  CHECK(node.flows.size() == 1);
}

TEST_CASE("packets that are dropped leave nothing behind") {
  Node node;
  node.steerInBatch(udpFrom(1, nodeMac(9)));
  node.steerInBatch(udpFrom(portOf(node, 2), nodeMac(3)));
  node.lease_until_ns = kNow_ns;
  node.steerInBatch(udpFrom(1));
  node.lease_until_ns = kNow_ns + 1;
  node.steering->has_view = false;
  node.steerInBatch(udpFrom(1));
  CHECK(node.flows.size() == 0);
  node.steering->has_view = true;
  node.steerInBatch(udpFrom(1));
  CHECK(node.flows.size() == 1);
}

TEST_CASE("known flows are not steered without a view or with the lease run out") {
  Node node;
  node.steerInBatch(udpFrom(1));
  node.lease_until_ns = kNow_ns;
  CHECK(node.steerInBatch(udpFrom(1)).cause == RF_COUNT_drop_lease_void);
  node.lease_until_ns = kNow_ns + 1;
  node.steering->has_view = false;
  CHECK(node.steerInBatch(udpFrom(1)).cause == RF_COUNT_drop_no_view);
}

TEST_CASE("every vector of the packet path where the hash decides has its outcome in a batch as well") {
  const auto vectors = readVectors();
  if (!vectors) {
    MESSAGE("skipped: RF_VECTORS names no file");
    return;
  }
  for (const Vector& vector : *vectors) {
    if (vector.assignment) continue;
    CAPTURE(vector.name);
    Node node;
    node.lease_until_ns = vector.leaseUntil_ns();
    *node.steering = *vector.table();
    node.vips = vectorVips(vector.has_ipv6);
    for (const VectorFrame& expected : vector.frames) {
      // Memory of exactly this size, so that the sanitizer sees a read past the end.
      const Bytes exact(expected.frame);
      const rf_bytes bytes = bytesOf(exact);
      node.batch->steer({&bytes, 1}, nodeMac(vector.self).data(), node.tables, node.flows, expected.now_ns);
      const rf_verdict& verdict = node.batch->verdict(0);
      CHECK((verdict.cause == 0 ? "-" : kCounterNames.at(verdict.cause)) == expected.cause);
      CHECK(verdict.node == expected.node);
      CHECK(bool{verdict.from_peer != 0} == expected.from_peer);
      const rf_reply& reply = node.batch->reply(0);
      if (verdict.kind == RF_VERDICT_REPLY) CHECK(Bytes(reply.frame, reply.frame + reply.len) == expected.out);
    }
  }
}
