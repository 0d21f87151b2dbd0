#include <doctest/doctest.h>

#include <array>
#include <memory>

#include "../flows/flow_exchange.h"
#include "../port/clock.h"
#include "../port/fd.h"
#include "../tables/flow_map.h"
#include "vector_lines.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint32_t kEpoch = 10;

rf_flow_key flowOf(uint16_t port) { return keyOf(ipv4({}, udp(port, 53))); }

rf_assignment assigned(uint16_t node, uint32_t epoch = kEpoch) { return {epoch, node, 0, static_cast<uint8_t>(RF_LIFE_DATAGRAM << RF_ASSIGNMENT_LIFE_SHIFT)}; }

// Node 1 of a view of the nodes 1, 2 and, since the view before, 3.
struct Node {
  std::shared_ptr<FlowMap> map = std::make_shared<FlowMap>(FlowCapacities{.established = 1024, .opening = 1024});
  int woken = 0;
  // What the firewall knows: the key of a flow, and of the first packets of its connection.
  std::vector<std::pair<rf_flow_key, rf_flow_key>> connections;
  bool firewall_fails = false, is_answered = false;
  FlowExchange exchange;
  std::shared_ptr<SteeringTable> tables = std::make_shared<SteeringTable>();

  explicit Node(const FlowExchange::Limits& limits = {.questions_max = 100, .questions_per_s = 100, .told_max = 100, .told_per_s = 100}) : exchange(map, limits, [this] { woken++; }, [this](std::span<const rf_flow_key> keys) { return findInFirewall(keys); }) {
    auto assignment = std::make_shared<AssignmentTable>();
    assignment->epoch = kEpoch;
    assignment->since[1] = assignment->since[2] = 1;
    assignment->since[3] = kEpoch - 1;
    tables->self = 1;
    tables->secret = {1, 2};
    tables->has_view = true;
    tables->assignment = assignment;
    exchange.become(tables);
  }

  std::vector<std::optional<FirewallConnection>> findInFirewall(std::span<const rf_flow_key> keys) const {
    if (firewall_fails) throw PortError("RF_CONNTRACK", "no", EIO);
    std::vector<std::optional<FirewallConnection>> found(keys.size());
    for (std::size_t i = 0; i < keys.size(); i++) {
      for (const auto& [key, first] : connections) {
        if (flowWords(key) == flowWords(keys[i])) found[i] = FirewallConnection{first, key, is_answered, is_answered};
      }
    }
    return found;
  }

  uint64_t hashOf(const rf_flow_key& key) const { return rf_flow_hash(&key, &tables->secret); }
  void know(uint16_t port, const rf_assignment& assignment) { map->put(flowOf(port), hashOf(flowOf(port)), assignment, RF_FLOW_ESTABLISHED, monotonicNow_ns()); }
  // 0: not known; else its node, or -1 for nobody.
  int nodeOf(uint16_t port) const {
    rf_found_flow found{};
    if (map->find(flowOf(port), hashOf(flowOf(port)), monotonicNow_ns(), &found) == RF_FLOW_UNKNOWN) return 0;
    return found.assignment.node == 0 ? -1 : found.assignment.node;
  }
};

std::vector<uint8_t> keysOf(std::initializer_list<uint16_t> ports) {
  std::vector<uint8_t> bytes;
  for (const uint16_t port : ports) appendFlowKey(bytes, flowOf(port));
  return bytes;
}

std::vector<uint8_t> recordsOf(std::initializer_list<FlowRecord> records) {
  std::vector<uint8_t> bytes;
  for (const FlowRecord& record : records) appendFlowRecord(bytes, record);
  return bytes;
}

}  // namespace

TEST_CASE("a flow and its node are the same after a way over the network, and what is cut off or no flow is not taken") {
  const FlowRecord record = {{{0x20010db800000001, 7}, {0x20010db800000002, 9}, 1u << 16 | 2, RF_ETHERTYPE_IPV6, RF_PROTO_TCP}, assigned(0xabcd, 0x01020304)};
  const auto bytes = recordsOf({record});
  CHECK(bytes.size() == kFlowRecordBytes);
  std::span<const uint8_t> rest = bytes;
  const auto read = takeFlowRecord(rest);
  REQUIRE(read);
  CHECK(rest.empty());
  CHECK(sameKey(read->key, record.key));
  CHECK(std::bit_cast<uint64_t>(read->assignment) == std::bit_cast<uint64_t>(record.assignment));
  for (std::size_t length = 0; length < bytes.size(); length++) {
    std::span<const uint8_t> cut(bytes.data(), length);
    CHECK_FALSE(takeFlowRecord(cut));
    CHECK(cut.size() == length);
  }
  for (const std::size_t at : {std::size_t{36}, std::size_t{38}, kFlowRecordBytes - 1}) {
    auto spoiled = bytes;
    spoiled[at] = 0x3f;
    std::span<const uint8_t> all = spoiled;
    CHECK_FALSE(takeFlowRecord(all));
  }
}

TEST_CASE("a flow is asked for once until it is settled, and nobody's then if nobody has said so") {
  Node node;
  CHECK(node.exchange.ask(flowOf(7)));
  CHECK(node.exchange.ask(flowOf(7)));
  CHECK(node.exchange.ask(flowOf(8)));
  CHECK(node.woken == 1);
  const auto keys = node.exchange.takeQuestions(1000);
  CHECK(keys.size() == 2 * kFlowKeyBytes);
  CHECK(node.exchange.ask(flowOf(7)));
  CHECK(node.exchange.takeQuestions(1000).empty());
  CHECK_FALSE(node.exchange.isSettled(flowOf(7)));
  node.exchange.learn(recordsOf({{flowOf(7), assigned(2)}}));
  node.exchange.settle(keys);
  CHECK(node.exchange.isSettled(flowOf(7)));
  CHECK(node.nodeOf(7) == 2);
  CHECK(node.nodeOf(8) == -1);
  const auto figures = node.exchange.figures();
  CHECK(figures.asked == 2);
  CHECK(figures.found == 1);
  CHECK(figures.unknown == 1);
  CHECK(node.exchange.ask(flowOf(7)));
  CHECK(node.woken == 2);
}

TEST_CASE("there is room for so many questions, and so many words to others") {
  Node node({.questions_max = 2, .questions_per_s = 100, .told_max = 3, .told_per_s = 100});
  CHECK(node.exchange.ask(flowOf(1)));
  CHECK(node.exchange.ask(flowOf(2)));
  CHECK_FALSE(node.exchange.ask(flowOf(3)));
  CHECK(node.exchange.takeQuestions(kFlowKeyBytes * 2 - 1).size() == kFlowKeyBytes);
  CHECK(node.exchange.takeQuestions(kFlowKeyBytes * 2 - 1).size() == kFlowKeyBytes);
  for (uint16_t port = 1; port <= 5; port++) {
    node.know(port, assigned(1));
    node.exchange.tell(port % 2 == 0 ? 2 : 3, {flowOf(port), assigned(1)});
  }
  CHECK(node.woken == 2);
  const auto deliveries = node.exchange.takeTold(kFlowRecordBytes);
  REQUIRE(deliveries.size() == 2);
  CHECK(deliveries[0].node == 2);
  CHECK(deliveries[0].records.size() == kFlowRecordBytes);
  CHECK(deliveries[1].records.size() == kFlowRecordBytes);
  CHECK(node.exchange.takeTold(1000).size() == 1);
  CHECK(node.exchange.takeTold(1000).empty());
  const auto figures = node.exchange.figures();
  CHECK(figures.asked_full == 1);
  CHECK(figures.told == 3);
  CHECK(figures.told_full == 2);
}

TEST_CASE("a node answers for the flows that it handles, as of now, and for no others") {
  Node node;
  node.know(1, assigned(1, kEpoch - 5));
  node.know(2, assigned(2));
  const auto records = node.exchange.answer(keysOf({1, 2, 3}));
  REQUIRE(records);
  std::span<const uint8_t> rest = *records;
  const auto record = takeFlowRecord(rest);
  REQUIRE(record);
  CHECK(rest.empty());
  CHECK(sameKey(record->key, flowOf(1)));
  CHECK(record->assignment.node == 1);
  CHECK(record->assignment.epoch == kEpoch);
  const auto keys = keysOf({1});
  CHECK(node.exchange.answer(std::span(keys).subspan(1))->empty());
  CHECK(node.exchange.figures().malformed == 1);
}

TEST_CASE("what names a node that is no member, or was not one then, is not taken") {
  Node node;
  node.exchange.learn(recordsOf({{flowOf(1), assigned(4)}, {flowOf(2), assigned(3, kEpoch - 2)}, {flowOf(3), assigned(3, kEpoch - 1)}}));
  CHECK(node.nodeOf(1) == 0);
  CHECK(node.nodeOf(2) == 0);
  CHECK(node.nodeOf(3) == 3);
  const auto cut = recordsOf({{flowOf(5), assigned(2)}, {flowOf(6), assigned(2)}});
  node.exchange.learn(std::span(cut).first(cut.size() - 1));
  CHECK(node.nodeOf(5) == 2);
  CHECK(node.nodeOf(6) == 0);
  const auto figures = node.exchange.figures();
  CHECK(figures.learned == 2);
  CHECK(figures.outdated == 2);
  CHECK(figures.malformed == 1);
}

TEST_CASE("a node that is in no view cannot say what it handles") {
  Node node;
  node.know(1, assigned(1));
  node.exchange.become(std::make_shared<SteeringTable>());
  CHECK_FALSE(node.exchange.answer(keysOf({1})));
}

TEST_CASE("what not all could say anything of is asked for again, and no faster than others can bear") {
  Node node({.questions_max = 100, .questions_per_s = 3, .told_max = 1, .told_per_s = 100});
  CHECK(node.exchange.ask(flowOf(7)));
  node.exchange.abandon(node.exchange.takeQuestions(1000));
  CHECK(node.nodeOf(7) == 0);
  CHECK(node.exchange.figures().abandoned == 1);
  CHECK(node.exchange.ask(flowOf(7)));
  CHECK(node.exchange.takeQuestions(1000).size() == kFlowKeyBytes);
  CHECK(node.exchange.ask(flowOf(8)));
  CHECK_FALSE(node.exchange.ask(flowOf(9)));
  CHECK(node.exchange.figures().asked_full == 1);
}

TEST_CASE("of what is known of a node that was away nothing is known, until somebody says more, or nobody does") {
  Node node;
  for (const uint16_t port : {1, 2}) {
    node.know(port, assigned(3, kEpoch - 2));
    CHECK(node.exchange.ask(flowOf(port)));
    CHECK_FALSE(node.exchange.isSettled(flowOf(port)));
  }
  const auto keys = node.exchange.takeQuestions(1000);
  node.exchange.learn(recordsOf({{flowOf(1), assigned(2)}}));
  node.exchange.settle(keys);
  CHECK(node.nodeOf(1) == 2);
  CHECK(node.nodeOf(2) == -1);
  CHECK(node.exchange.isSettled(flowOf(2)));
}

TEST_CASE("who was thought to handle a flow is told that another one does, unless it is gone or this node") {
  Node node;
  node.know(1, assigned(3));
  node.know(2, assigned(1));
  node.know(3, assigned(4));
  node.know(4, assigned(2));
  node.exchange.learn(recordsOf({{flowOf(1), assigned(2)}, {flowOf(2), assigned(2)}, {flowOf(3), assigned(2)}, {flowOf(4), assigned(2)}}));
  const auto deliveries = node.exchange.takeTold(1000);
  REQUIRE(deliveries.size() == 1);
  CHECK(deliveries[0].node == 3);
  CHECK(deliveries[0].records.size() == kFlowRecordBytes);
  CHECK(node.exchange.figures().corrected == 1);
}

TEST_CASE("a node whose packet path does not know a flow answers by what its firewall knows, and that weighs less than what anybody knows better") {
  Node one;
  one.connections = {{flowOf(1), flowOf(1)}, {flowOf(2), flowOf(9)}, {flowOf(3), flowOf(8)}, {flowOf(5), flowOf(6)}};
  one.know(8, assigned(2));  // that connection has long been another node's
  one.know(6, assigned(1));
  const auto records = one.exchange.answer(keysOf({1, 2, 3, 4, 5}));
  REQUIRE(records);
  std::span<const uint8_t> rest = *records;
  const auto plain = takeFlowRecord(rest), alias = takeFlowRecord(rest), sure = takeFlowRecord(rest);
  REQUIRE((plain && alias && sure && rest.empty()));
  CHECK((!rf_assignment_has(&sure->assignment, RF_ASSIGNED_GUESSED) && rf_assignment_has(&sure->assignment, RF_ASSIGNED_ALIAS)));
  CHECK((rf_assignment_has(&plain->assignment, RF_ASSIGNED_GUESSED) && !rf_assignment_has(&plain->assignment, RF_ASSIGNED_ALIAS)));
  CHECK((rf_assignment_has(&alias->assignment, RF_ASSIGNED_GUESSED) && rf_assignment_has(&alias->assignment, RF_ASSIGNED_ALIAS)));
  // Who guesses is not sure either.
  CHECK(one.nodeOf(1) == 0);
  CHECK(one.nodeOf(2) == 0);
  CHECK(one.nodeOf(5) == 1);
  CHECK(one.exchange.figures().answered_by_firewall == 3);

  Node other;
  other.know(1, assigned(3));
  FlowRecord guessed = *plain;
  guessed.assignment.node = 2;
  REQUIRE(other.exchange.ask(flowOf(5)));
  const auto asked = other.exchange.takeQuestions(1000);
  other.exchange.learn(recordsOf({guessed, {flowOf(5), guessed.assignment}}));
  CHECK(other.nodeOf(1) == 3);
  CHECK(other.nodeOf(5) == 0);
  CHECK_FALSE(other.exchange.isSettled(flowOf(5)));
  other.exchange.settle(asked);
  CHECK(other.nodeOf(5) == 2);
}

TEST_CASE("the answers of a connection that this node handles need not be asked for; what its firewall alone knows is its own if nobody else has it") {
  Node one;
  one.know(7, assigned(1));
  one.connections = {{flowOf(1), flowOf(7)}, {flowOf(2), flowOf(2)}, {flowOf(3), flowOf(3)}};
  for (const uint16_t port : std::to_array<uint16_t>({1, 2, 3})) REQUIRE(one.exchange.ask(flowOf(port)));
  const auto asked = one.exchange.takeQuestions(1000);
  CHECK(asked.size() == 2 * kFlowKeyBytes);
  CHECK(one.nodeOf(1) == 1);
  CHECK(one.exchange.isSettled(flowOf(1)));
  CHECK(one.nodeOf(2) == 0);
  one.exchange.learn(recordsOf({{flowOf(3), assigned(2)}}));
  one.exchange.settle(asked);
  CHECK(one.nodeOf(2) == 1);
  CHECK(one.nodeOf(3) == 2);
  CHECK(one.exchange.figures().found == 3);
}

TEST_CASE("what peers take for this node's need not be asked for if its firewall has the connection, but by its authority") {
  Node one;
  one.tables->slots.fill(2);
  one.connections = {{flowOf(1), flowOf(1)}};
  for (const uint16_t port : std::to_array<uint16_t>({1, 2})) REQUIRE(one.exchange.ask(flowOf(port)));
  CHECK(one.exchange.takeQuestions(1000) == keysOf({2}));
  CHECK(one.nodeOf(1) == 1);
  CHECK(one.exchange.isSettled(flowOf(1)));
  CHECK(one.exchange.figures().found == 1);

  Node authority;
  authority.tables->slots.fill(1);
  authority.connections = one.connections;
  REQUIRE(authority.exchange.ask(flowOf(1)));
  CHECK(authority.exchange.takeQuestions(1000) == keysOf({1}));
  CHECK(authority.nodeOf(1) == 0);
}

TEST_CASE("what comes by hearsay waits, and goes to who says that it handles it, or stays if nobody does") {
  Node one;
  one.tables->slots.fill(2);
  for (const uint16_t node : {1, 2, 3}) one.tables->members.set(node);
  const VipSet vips;
  FragmentTable fragments{{5, 6}};
  const std::atomic<uint64_t> lease_until_ns{UINT64_MAX};
  const rf_tables tables{one.tables.get(), &vips, &fragments, &lease_until_ns, one.map.get()};
  Mac direct = nodeMac(3);
  direct[0] |= RF_RELAY_DIRECT << RF_MAC_KIND_SHIFT;
  rf_work work;
  const auto steer = [&](uint16_t port) {
    Bytes segment = tcp(port, 80);
    segment[13] = RF_TCP_ACK;
    const Bytes frame = ethernet(nodeMac(1), direct, RF_ETHERTYPE_IPV4, ipv4({RF_PROTO_TCP}, segment));
    const rf_bytes bytes = bytesOf(frame);
    return rf_steer(&bytes, bytes, nodeMac(1).data(), &tables, monotonicNow_ns(), &work);
  };
  for (const uint16_t port : {1, 2, 3}) {
    CHECK(steer(port).cause == RF_COUNT_punt_flow);
    if (port == 3) one.connections = {{work.flow.key, work.flow.key}};
    REQUIRE(one.exchange.ask(work.flow.key));
  }
  const auto asked = one.exchange.takeQuestions(1000);
  CHECK(asked.size() == 2 * kFlowKeyBytes);
  CHECK(steer(3).kind == RF_VERDICT_PASS);
  CHECK(steer(2).cause == RF_COUNT_punt_flow);
  one.exchange.learn(recordsOf({{work.flow.key, {kEpoch, 2, 0, RF_LIFE_STREAM << RF_ASSIGNMENT_LIFE_SHIFT}}}));
  one.exchange.settle(asked);
  CHECK(steer(1).kind == RF_VERDICT_PASS);
  const rf_verdict verdict = steer(2);
  CHECK((verdict.kind == RF_VERDICT_RELAY && verdict.node == 2 && verdict.relay == RF_RELAY_FINAL));
}

TEST_CASE("where the firewall cannot say what it knows the others are asked all the same, and it is counted") {
  Node one;
  one.firewall_fails = true;
  REQUIRE(one.exchange.ask(flowOf(1)));
  CHECK(one.exchange.takeQuestions(1000) == keysOf({1}));
  CHECK(one.exchange.answer(keysOf({2}))->empty());
  CHECK(one.exchange.figures().firewall_failed == 2);
}

TEST_CASE("of the answers of a translated connection whose node has gone nothing is known") {
  Node one;
  const rf_assignment alias = {kEpoch, 9, 0, rf_flags_and_life(RF_ASSIGNED_ALIAS, RF_LIFE_STREAM)};
  one.know(1, alias);
  one.know(2, {kEpoch, 9, 0, rf_flags_and_life(0, RF_LIFE_STREAM)});
  CHECK_FALSE(one.exchange.isSettled(flowOf(1)));
  CHECK(one.exchange.isSettled(flowOf(2)));
  REQUIRE(one.exchange.ask(flowOf(1)));
  one.exchange.settle(one.exchange.takeQuestions(1000));
  CHECK(one.nodeOf(1) == -1);
}

TEST_CASE("who looks at a flow learns whose it is and whether that one has been there since, and nothing changes") {
  Node one;
  one.know(1, assigned(2));
  one.know(2, assigned(3, kEpoch - 2));
  one.know(3, assigned(0));
  const auto held = one.exchange.peek(flowOf(1));
  REQUIRE(held);
  CHECK(held->is_held);
  CHECK(held->flow.place == RF_FLOW_ESTABLISHED);
  CHECK(held->flow.assignment.node == 2);
  const auto outdated = one.exchange.peek(flowOf(2));
  REQUIRE(outdated);
  CHECK_FALSE(outdated->is_held);
  CHECK(outdated->flow.assignment.node == 3);
  CHECK_FALSE(one.exchange.peek(flowOf(4)));
  CHECK(one.woken == 0);

  const auto all = one.exchange.overview(std::nullopt, 100);
  CHECK(all.flows.size() == 3);
  CHECK(all.of_nodes == std::map<uint16_t, uint64_t>{{0, 1}, {2, 1}, {3, 1}});
  const auto of_two = one.exchange.overview(uint16_t{2}, 100);
  REQUIRE(of_two.flows.size() == 1);
  CHECK(sameKey(of_two.flows[0].flow.key, flowOf(1)));
  CHECK(of_two.of_nodes.size() == 3);
  CHECK(one.exchange.overview(std::nullopt, 2).flows.size() == 2);
}

TEST_CASE("of two nodes whose firewalls know a connection that one is taken which has seen both directions, and else the same one whoever says so first") {
  const auto guess = [](uint16_t node, unsigned flags) { return rf_assignment{kEpoch, node, 0, rf_flags_and_life(RF_ASSIGNED_GUESSED | flags, RF_LIFE_STREAM)}; };
  Node one;
  for (uint16_t port = 1; port <= 5; port++) REQUIRE(one.exchange.ask(flowOf(port)));
  const auto asked = one.exchange.takeQuestions(1000);
  one.exchange.learn(recordsOf({{flowOf(1), guess(2, 0)}, {flowOf(2), guess(3, 0)}, {flowOf(3), guess(2, 0)}, {flowOf(4), guess(2, RF_ASSIGNED_ANSWERED)}}));
  one.exchange.learn(recordsOf({{flowOf(1), guess(3, 0)}, {flowOf(2), guess(2, 0)}, {flowOf(3), guess(3, RF_ASSIGNED_ANSWERED)}, {flowOf(4), assigned(3)}}));
  one.exchange.settle(asked);
  CHECK(one.nodeOf(1) == 2);
  CHECK(one.nodeOf(2) == 2);
  CHECK(one.nodeOf(3) == 3);
  CHECK(one.nodeOf(4) == 3);
  CHECK(one.nodeOf(5) == -1);
  one.exchange.learn(recordsOf({{flowOf(1), assigned(3)}}));
  CHECK(one.nodeOf(1) == 3);
}

TEST_CASE("who is asked to look up more flows in its firewall than it may cannot say, and settles nothing") {
  Node one({.questions_max = 100, .questions_per_s = 100, .told_max = 100, .told_per_s = 100, .lookups_per_s = 3});
  CHECK(one.exchange.answer(keysOf({1, 2})));
  CHECK_FALSE(one.exchange.answer(keysOf({3, 4})));
  REQUIRE(one.exchange.ask(flowOf(5)));
  const auto asked = one.exchange.takeQuestions(1000);
  one.exchange.settle(asked);
  CHECK(one.nodeOf(5) == 0);
  CHECK(one.exchange.figures().firewall_full > 0);
}

TEST_CASE("both flows of a translated connection go together: whose answers are another node's is that one's") {
  Node one;
  one.connections = {{flowOf(1), flowOf(1)}};
  one.know(1, assigned(2));
  CHECK(one.exchange.answer(keysOf({1}))->empty());
  FlowRecord alias{flowOf(2), {kEpoch, 2, 0, rf_flags_and_life(RF_ASSIGNED_ALIAS, RF_LIFE_STREAM)}};
  one.exchange.learn(recordsOf({alias}));
  one.exchange.learn(recordsOf({{flowOf(2), assigned(2)}}));
  CHECK(one.exchange.isAlias(flowOf(2)));
  one.exchange.learn(recordsOf({{flowOf(2), assigned(3)}}));
  CHECK_FALSE(one.exchange.isAlias(flowOf(2)));
}

TEST_CASE("what was to be told of a flow is not, if it is over by then, or another node's") {
  Node node;
  for (uint16_t port = 1; port <= 3; port++) {
    node.know(port, assigned(1));
    node.exchange.tell(2, {flowOf(port), assigned(1)});
  }
  node.know(1, assigned(3));
  node.know(2, {kEpoch, 1, 0, rf_flags_and_life(0, RF_LIFE_CLOSING)});
  const auto deliveries = node.exchange.takeTold(1000);
  REQUIRE(deliveries.size() == 1);
  CHECK(deliveries[0].records.size() == kFlowRecordBytes);
  std::span<const uint8_t> records = deliveries[0].records;
  CHECK(sameKey(takeFlowRecord(records)->key, flowOf(3)));
  CHECK(node.exchange.figures().told == 1);
}

TEST_CASE("a flow that somebody was sure of is not nobody's, if packets have made this node forget it again") {
  Node node;
  CHECK(node.exchange.ask(flowOf(1)));
  const auto keys = node.exchange.takeQuestions(1000);
  node.exchange.learn(recordsOf({{flowOf(1), assigned(2)}}));
  node.map->forget(flowOf(1), node.hashOf(flowOf(1)), RF_FLOW_ESTABLISHED);
  node.exchange.settle(keys);
  CHECK(node.nodeOf(1) == 0);
  CHECK(node.exchange.figures().found == 1);
  CHECK(node.exchange.figures().unknown == 0);
}

TEST_CASE("a flow is another node's while its packets come by, and its connection goes on") {
  Node node;
  const auto knownSince = [&](uint16_t port, uint64_t periods, enum rf_flow_life life) {
    const rf_assignment assignment{kEpoch, 2, 0, rf_flags_and_life(0, life)};
    node.map->put(flowOf(port), node.hashOf(flowOf(port)), assignment, RF_FLOW_ESTABLISHED, monotonicNow_ns() - (periods << RF_PERIOD_SHIFT));
  };
  knownSince(1, 0, RF_LIFE_STREAM);
  knownSince(2, 0, RF_LIFE_CLOSING);
  knownSince(3, RF_QUIET_PERIODS + 2, RF_LIFE_STREAM);
  node.know(4, assigned(1));
  CHECK(node.exchange.isAnothers(flowOf(1)));
  for (const uint16_t port : {2, 3, 4, 5}) CHECK_FALSE(node.exchange.isAnothers(flowOf(port)));
}

TEST_CASE("how likely a guess is, is heard by who asked") {
  Node authority, lately, long_ago;
  authority.tables->self = 3;
  // Both their firewalls know it still; the packet path of the higher node has seen it last.
  const auto knows = [](Node& node, uint16_t self, uint64_t periods) {
    node.tables->self = self;
    node.connections = {{flowOf(7), flowOf(7)}};
    node.is_answered = true;
    const rf_assignment mine{kEpoch, self, 0, rf_flags_and_life(0, RF_LIFE_CLOSING)};
    node.map->put(flowOf(7), node.hashOf(flowOf(7)), mine, RF_FLOW_ESTABLISHED, monotonicNow_ns() - (periods << RF_PERIOD_SHIFT));
  };
  knows(lately, 2, 3);
  knows(long_ago, 1, 60);
  CHECK(authority.exchange.ask(flowOf(7)));
  const auto keys = authority.exchange.takeQuestions(1000);
  for (Node* node : {&long_ago, &lately}) {
    const auto records = node->exchange.answer(keys);
    REQUIRE(records);
    CHECK(records->size() == kFlowRecordBytes);
    authority.exchange.learn(*records);
  }
  authority.exchange.settle(keys);
  CHECK(authority.nodeOf(7) == 2);
}

TEST_CASE("a node that could not ask its firewall says what its packet path knows") {
  Node node;
  const rf_assignment mine{kEpoch, 1, 0, rf_flags_and_life(0, RF_LIFE_STREAM)};
  const rf_flow_key key{{0, 1}, {0, 2}, 7u << 16 | 80, RF_ETHERTYPE_IPV4, RF_PROTO_TCP};
  node.map->put(key, node.hashOf(key), mine, RF_FLOW_ESTABLISHED, monotonicNow_ns());
  std::vector<uint8_t> keys;
  appendFlowKey(keys, key);
  const auto isSure = [&] {
    const auto records = node.exchange.answer(keys);
    REQUIRE(records);
    std::span<const uint8_t> rest = *records;
    return !rf_assignment_has(&takeFlowRecord(rest)->assignment, RF_ASSIGNED_GUESSED);
  };
  CHECK_FALSE(isSure());
  node.firewall_fails = true;
  CHECK(isSure());
}

TEST_CASE("what a node owns is told to its authority: that is by the port of a range, and nobody where the port is its own") {
  Node node;
  node.tables->slots.fill(2);
  const rf_flow_key key = flowOf(10'150);
  const bool is_low = key.ports >> 16 == 10'150;
  rf_port_ranges& ranges = node.tables->port_ranges;
  ranges.count = 1;
  ranges.parts = 3;
  ranges.ranges[0] = {{is_low ? key.addr_low[0] : key.addr_high[0], is_low ? key.addr_low[1] : key.addr_high[1]}, RF_ETHERTYPE_IPV4, 10'000, 100, 0};
  const auto toldFor = [&](uint16_t owner_of_second, uint16_t port) {
    ranges.owners[1] = owner_of_second;
    node.exchange.become(node.tables);
    CHECK(node.exchange.own(flowOf(port), true));
    std::vector<uint16_t> nodes;
    for (const auto& delivery : node.exchange.takeTold(1000)) nodes.push_back(delivery.node);
    return nodes;
  };
  CHECK(toldFor(1, 10'150) == std::vector<uint16_t>{});
  CHECK(toldFor(3, 10'151) == std::vector<uint16_t>{3});
  CHECK(toldFor(0, 10'152) == std::vector<uint16_t>{2});
  CHECK(toldFor(3, 10'099) == std::vector<uint16_t>{2});
  CHECK(toldFor(3, 9'999) == std::vector<uint16_t>{2});
  CHECK(toldFor(3, 10'300) == std::vector<uint16_t>{2});
}
