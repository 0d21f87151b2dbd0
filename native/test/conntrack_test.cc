// Connections as the kernel tells them, as nodes tell each other, and as a kernel takes them.
#include <doctest/doctest.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "../conntrack/conntrack_lookup.h"
#include "../conntrack/conntrack_share.h"
#include "../conntrack/replicas.h"
#include "../tables/flow_map.h"
#include "packets.h"
#include "port_fixture.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr uint16_t kNew = 1 << 8;
constexpr uint16_t kDelete = 1 << 8 | 2;

ConntrackTuple reverse(const ConntrackTuple& tuple) {
  ConntrackTuple result = tuple;
  std::swap(result.source, result.destination);
  std::swap(result.source_port, result.destination_port);
  return result;
}

ConntrackEntry tcpEntry(uint16_t port = 40000) {
  ConntrackEntry entry;
  entry.original = {ipv4Address(ip(198, 51, 100, 7)), ipv4Address(ip(10, 77, 0, 20)), port, 80, 0, RF_PROTO_TCP};
  entry.reply = reverse(entry.original);
  entry.status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED;
  entry.timeout_s = 431'990;
  entry.mark = 7;
  entry.tcp_state = TCP_CONNTRACK_ESTABLISHED;
  entry.window_scale_original = 7;
  entry.window_scale_reply = 9;
  entry.tcp_flags_original = entry.tcp_flags_reply = IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_BE_LIBERAL;
  return entry;
}

// Behind a gateway that gave it another source.
ConntrackEntry translatedEntry() {
  ConntrackEntry entry = tcpEntry();
  entry.status |= IPS_SRC_NAT;
  entry.reply.destination = ipv4Address(ip(192, 0, 2, 101));
  entry.reply.destination_port = 1024;
  return entry;
}

ConntrackEntry udp6Entry() {
  ConntrackEntry entry;
  entry.original = {addressOf(ipv6Host(5)), addressOf(ipv6Host(20)), 1000, 53, 0, RF_PROTO_UDP};
  entry.reply = reverse(entry.original);
  entry.status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED;
  entry.timeout_s = 120;
  return entry;
}

ConntrackEntry pingEntry() {
  ConntrackEntry entry;
  entry.original = {ipv4Address(ip(198, 51, 100, 7)), ipv4Address(ip(10, 77, 0, 20)), 77, 77, 8 << 8, RF_PROTO_ICMP};
  entry.reply = reverse(entry.original);
  entry.reply.icmp = 0;
  entry.status = IPS_CONFIRMED | IPS_SEEN_REPLY;
  entry.timeout_s = 29;
  return entry;
}

std::vector<ConntrackEntry> allEntries() { return {tcpEntry(), translatedEntry(), udp6Entry(), pingEntry()}; }

Bytes putRequest(const ConntrackEntry& entry) {
  Bytes request;
  appendConntrackPut(request, entry, 1);
  return request;
}

std::optional<ConntrackMessage> readBack(const Bytes& request, uint16_t type = kNew) { return readConntrack(type, std::span(request).subspan(NLMSG_HDRLEN)); }

// What is told to the kernel of `entry`, but for its translation: the bits of its status that are the kernel's own are not.
ConntrackEntry told(ConntrackEntry entry) {
  if ((entry.status & IPS_SRC_NAT) != 0) entry.reply = reverse(entry.original);
  entry.status &= IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED;
  return entry;
}

// False where there is no connection tracking, or no right to it.
bool hasConntrack() {
  if (!inOwnNamespace()) return false;
  try {
    return dumpConntrack([](const ConntrackMessage&) {});
  } catch (const PortError& error) {
    MESSAGE("skipped: " << error.what());
    return false;
  }
}

std::vector<ConntrackEntry> entriesOfKernel() {
  std::vector<ConntrackEntry> all;
  REQUIRE(dumpConntrack([&](const ConntrackMessage& message) { all.push_back(message.entry); }));
  return all;
}

}  // namespace

TEST_CASE("a connection is read as it is told") {
  for (const ConntrackEntry& entry : allEntries()) {
    const auto read = readBack(putRequest(entry));
    REQUIRE(read);
    CHECK(read->event == ConntrackEvent::changed);
    CHECK((read->entry == told(entry)));
    const auto ended = readBack(putRequest(entry), kDelete);
    REQUIRE(ended);
    CHECK(ended->event == ConntrackEvent::ended);
  }
  CHECK_FALSE(readBack(putRequest(tcpEntry()), kNew | 3));
  CHECK_FALSE(readBack(putRequest(tcpEntry()), 2 << 8));
}

TEST_CASE("a connection that another one announced is read, and known as such") {
  Bytes request = putRequest(tcpEntry());
  CHECK_FALSE(isExpected(readBack(request)->entry));
  const std::array<uint8_t, 4> status{8, 0, CTA_STATUS, 0};
  const auto at = std::search(request.begin(), request.end(), status.begin(), status.end());
  REQUIRE(at != request.end());
  at[7] |= IPS_EXPECTED;  // big-endian
  const auto message = readBack(request);
  REQUIRE(message);
  CHECK(isExpected(message->entry));
}

TEST_CASE("a message that is cut off or changed anywhere is read within its bounds") {
  for (const ConntrackEntry& entry : allEntries()) {
    const Bytes whole = putRequest(entry);
    for (std::size_t len = NLMSG_HDRLEN; len < whole.size(); len++) {
      // Memory of exactly this size, so that the sanitizer sees a read past the end.
      (void)readBack(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(len)));
    }
    for (std::size_t at = NLMSG_HDRLEN; at < whole.size(); at++) {
      for (const uint8_t value : std::to_array<uint8_t>({0, 1, 3, 4, 0x7f, 0xff})) {
        Bytes changed = whole;
        changed[at] = value;
        (void)readBack(changed);
      }
    }
  }
}

TEST_CASE("the flow of a connection is the one that the packet path sees, in both directions") {
  const ConntrackEntry entry = tcpEntry();
  const rf_flow_key key = flowKeyOf(entry.original);
  const rf_flow_key reply = flowKeyOf(entry.reply);
  CHECK(std::memcmp(&key, &reply, sizeof key) == 0);
  const rf_flow_key seen = keyOf(ipv4({RF_PROTO_TCP, ip(198, 51, 100, 7), ip(10, 77, 0, 20)}, tcp(40000, 80)));
  CHECK(std::memcmp(&key, &seen, sizeof key) == 0);
  const rf_flow_key translated = flowKeyOf(translatedEntry().reply);
  CHECK(std::memcmp(&key, &translated, sizeof key) != 0);
  // Of DCCP the packet path reads no ports.
  ConntrackTuple dccp = entry.original;
  dccp.protocol = IPPROTO_DCCP;
  const rf_flow_key without_ports = flowKeyOf(dccp), seen_of_dccp = keyOf(ipv4({IPPROTO_DCCP, ip(198, 51, 100, 7), ip(10, 77, 0, 20)}, udp(40000, 80)));
  CHECK(std::memcmp(&without_ports, &seen_of_dccp, sizeof without_ports) == 0);
}

TEST_CASE("records are read as they were written, and no further than they go") {
  Bytes records;
  std::vector<ConntrackMessage> all;
  for (const ConntrackEntry& entry : allEntries()) {
    all.push_back({ConntrackEvent::changed, entry});
    ConntrackEntry name;
    name.original = entry.original;
    all.push_back({ConntrackEvent::ended, name});
  }
  for (const ConntrackMessage& message : all) {
    const std::size_t before = records.size();
    appendRecord(records, message);
    CHECK(records.size() - before <= kConntrackRecordBytes_max);
  }
  std::span<const uint8_t> left = records;
  for (const ConntrackMessage& message : all) {
    const auto read = takeRecord(left);
    REQUIRE(read);
    CHECK(read->event == message.event);
    CHECK((read->entry == message.entry));
  }
  CHECK(left.empty());
  for (std::size_t len = 0; len < records.size(); len++) {
    const Bytes cut(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(len));
    std::span<const uint8_t> bytes = cut;
    while (takeRecord(bytes)) {
    }
  }
  const Bytes unknown = {9, 6, 1, 2};
  std::span<const uint8_t> bytes = unknown;
  CHECK_FALSE(takeRecord(bytes));
}

TEST_CASE("the outbox has the last word on each connection, in the order of the first, and a limit") {
  Outbox outbox(2);
  ConntrackEntry first = tcpEntry(1);
  CHECK(outbox.put(2, {ConntrackEvent::changed, first}));
  CHECK(outbox.put(2, {ConntrackEvent::changed, tcpEntry(2)}));
  CHECK_FALSE(outbox.put(3, {ConntrackEvent::changed, tcpEntry(3)}));
  first.mark = 99;
  CHECK(outbox.put(2, {ConntrackEvent::changed, first}));
  CHECK(outbox.size() == 2);

  CHECK(outbox.take(3, 1000).empty());
  CHECK(outbox.take(2, kConntrackRecordBytes_max - 1).empty());
  const Bytes one = outbox.take(2, kConntrackRecordBytes_max);
  std::span<const uint8_t> records = one;
  const auto read = takeRecord(records);
  REQUIRE(read);
  CHECK(read->entry.mark == 99);
  CHECK(records.empty());
  CHECK(outbox.take(2, 10'000).size() == one.size());
  CHECK(outbox.size() == 0);
  CHECK(outbox.nodes().empty());
}

TEST_CASE("who tells the end of a connection does not end another one between the same ends, which another node has told of") {
  Replicas replicas(10);
  std::vector<ConntrackEntry> ours;
  const auto isOurs = [](const ConntrackEntry&) { return false; };
  const auto recordsOf = [](ConntrackEvent event, const ConntrackEntry& entry) {
    Bytes records;
    appendRecord(records, {event, entry});
    return records;
  };
  ConntrackEntry over = tcpEntry(1);
  over.tcp_state = TCP_CONNTRACK_CLOSE;
  replicas.receive({3, 0, 1}, recordsOf(ConntrackEvent::changed, tcpEntry(1)), isOurs, ours);
  replicas.receive({2, 0, 1}, recordsOf(ConntrackEvent::ended, tcpEntry(1)), isOurs, ours);
  replicas.receive({2, 0, 1}, recordsOf(ConntrackEvent::changed, over), isOurs, ours);
  REQUIRE(replicas.find(tcpEntry(1).original));
  CHECK((replicas.find(tcpEntry(1).original)->entry == tcpEntry(1)));
  replicas.receive({3, 0, 1}, recordsOf(ConntrackEvent::changed, over), isOurs, ours);
  CHECK((replicas.find(tcpEntry(1).original)->entry == over));
  replicas.receive({3, 0, 1}, recordsOf(ConntrackEvent::ended, over), isOurs, ours);
  CHECK_FALSE(replicas.find(tcpEntry(1).original));
}

TEST_CASE("replicas are the last that was told, without what has ended and what is ours, and have a limit") {
  Replicas replicas(2);
  std::vector<ConntrackEntry> ours;
  const auto isOurs = [](const ConntrackEntry& entry) { return entry.original.source_port > 100; };
  Bytes records;
  for (const uint16_t port : std::to_array<uint16_t>({1, 2, 3, 101})) appendRecord(records, {ConntrackEvent::changed, tcpEntry(port)});
  const auto received = replicas.receive({2, 0, 1}, records, isOurs, ours);
  CHECK(received.kept == 2);
  CHECK(received.full == 1);
  CHECK(ours.size() == 1);
  Bytes more;
  appendRecord(more, {ConntrackEvent::ended, tcpEntry(1)});
  more.push_back(200);
  appendRecord(more, {ConntrackEvent::ended, tcpEntry(2)});
  const auto ended = replicas.receive({2, 0, 1}, more, isOurs, ours);
  CHECK(ended.ended == 1);
  CHECK(ended.malformed == 1);
  CHECK(replicas.size() == 1);
  REQUIRE(replicas.find(tcpEntry(2).original));
  CHECK(replicas.find(tcpEntry(2).original)->told.from == 2);
  CHECK((replicas.find(tcpEntry(2).original)->entry == tcpEntry(2)));
  CHECK_FALSE(replicas.find(tcpEntry(1).original));
  CHECK(replicas.takeIf([](const ConntrackEntry&, const Replicas::Told&) { return false; }).empty());
  CHECK(replicas.takeIf([](const ConntrackEntry& entry, const Replicas::Told& told) { return entry.original.source_port == 2 && told.from == 2; }).size() == 1);
  CHECK(replicas.size() == 0);
}

TEST_CASE("what nobody has told for long is forgotten") {
  Replicas replicas(10);
  std::vector<ConntrackEntry> ours;
  const auto isOurs = [](const ConntrackEntry&) { return false; };
  Bytes both, second;
  for (const uint16_t port : std::to_array<uint16_t>({1, 2})) appendRecord(both, {ConntrackEvent::changed, tcpEntry(port)});
  appendRecord(second, {ConntrackEvent::changed, tcpEntry(2)});
  replicas.receive({2, 0, 100}, both, isOurs, ours);
  replicas.receive({2, 0, 200}, second, isOurs, ours);
  replicas.dropToldBefore(100);
  CHECK(replicas.size() == 2);
  replicas.dropToldBefore(101);
  CHECK(replicas.takeIf([](const ConntrackEntry& entry, const Replicas::Told&) { return entry.original.source_port == 2; }).size() == 1);
  CHECK(replicas.size() == 0);
}

TEST_CASE("a kernel takes connections, and tells of them as they were") {
  if (!hasConntrack()) return;
  const std::vector<ConntrackEntry> given = {tcpEntry(40001), udp6Entry(), pingEntry()};
  CHECK(putConntrack(given) == 0);
  const auto all = entriesOfKernel();
  for (ConntrackEntry wanted : given) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const ConntrackEntry& entry) { return entry.original == wanted.original; });
    REQUIRE(found != all.end());
    CHECK(found->timeout_s <= wanted.timeout_s);
    CHECK(found->timeout_s + 60 > wanted.timeout_s);
    ConntrackEntry seen = told(*found);
    seen.timeout_s = wanted.timeout_s;
    CHECK((seen == told(wanted)));
  }
}

TEST_CASE("a kernel takes a translated connection with its translation") {
  if (!hasConntrack()) return;
  CHECK(putConntrack(std::vector{translatedEntry()}) == 0);
  const auto all = entriesOfKernel();
  const auto found = std::find_if(all.begin(), all.end(), [&](const ConntrackEntry& entry) { return entry.original == translatedEntry().original; });
  REQUIRE(found != all.end());
  CHECK((found->reply == translatedEntry().reply));
  CHECK((found->status & IPS_SRC_NAT) != 0);
}

TEST_CASE("a connection that was there already is brought up to date, and one that cannot be is counted") {
  if (!hasConntrack()) return;
  ConntrackEntry entry = tcpEntry(40002);
  CHECK(putConntrack(std::vector{entry}) == 0);
  entry.mark = 8;
  CHECK(putConntrack(std::vector{entry}) == 0);
  ConntrackEntry impossible = tcpEntry(40003);
  impossible.tcp_state = 200;
  CHECK(putConntrack(std::vector{impossible, tcpEntry(40004)}) == 1);
  ConntrackEntry translated = translatedEntry();
  translated.original.source_port = 40005;
  translated.reply.destination_port = 1025;
  CHECK(putConntrack(std::vector{translated}) == 0);
  translated.mark = 9;
  CHECK(putConntrack(std::vector{translated}) == 0);
  const auto all = entriesOfKernel();
  const auto found = std::find_if(all.begin(), all.end(), [&](const ConntrackEntry& one) { return one.original == translated.original; });
  REQUIRE(found != all.end());
  CHECK(found->mark == 9);
  CHECK((found->reply == translated.reply));
}

namespace {

// Of nodes 1, which is this one's, and 2: all flows are `handler`'s.
std::shared_ptr<const Successors> handledBy(uint16_t handler) {
  auto successors = std::make_shared<Successors>();
  successors->now.self = 1;
  successors->now.has_view = true;
  successors->now.slots.fill(handler);
  successors->without_self.fill(2);
  return successors;
}

// Takes what `to` is told until that connection is among it. False: it takes too long.
bool tells(ConntrackShare& share, uint16_t port, uint16_t to = 2, ConntrackShare::Purpose as = ConntrackShare::Purpose::copy) {
  for (const uint64_t until_ns = monotonicNow_ns() + kPatience_ms * kMs; monotonicNow_ns() < until_ns; std::this_thread::yield()) {
    for (const auto& [node, purpose, records] : share.take(100'000)) {
      CHECK(node == to);
      CHECK(purpose == as);
      for (std::span<const uint8_t> left = records; const auto message = takeRecord(left);) {
        if (message->entry.original.source_port == port) return true;
      }
    }
  }
  return false;
}

// Takes what `to` is told until it is told of all these.
bool tellsAll(ConntrackShare& share, std::set<uint16_t> ports, uint16_t to) {
  for (const uint64_t until_ns = monotonicNow_ns() + kPatience_ms * kMs; !ports.empty() && monotonicNow_ns() < until_ns; std::this_thread::yield()) {
    for (const auto& [node, purpose, records] : share.take(100'000)) {
      CHECK(node == to);
      for (std::span<const uint8_t> left = records; const auto message = takeRecord(left);) {
        CHECK(message->entry.original.source_port != 42003);
        ports.erase(message->entry.original.source_port);
      }
    }
  }
  return ports.empty();
}

bool waitsFor(const std::function<bool()>& condition) {
  for (const uint64_t until_ns = monotonicNow_ns() + kPatience_ms * kMs; monotonicNow_ns() < until_ns; std::this_thread::yield()) {
    if (condition()) return true;
  }
  return false;
}

bool takesOver(const ConntrackShare& share, uint64_t count) {
  return waitsFor([&] { return share.figures().taken_over == count; });
}

// 0: the kernel does not know it.
uint32_t timeoutOf(uint16_t port) {
  for (const ConntrackEntry& entry : entriesOfKernel()) {
    if (entry.original.source_port == port) return entry.timeout_s;
  }
  return 0;
}

bool timeoutFalls(uint16_t port, uint32_t to_s) {
  return waitsFor([&] { return timeoutOf(port) <= to_s; });
}

}  // namespace

TEST_CASE("what a firewall knows of its flows goes to who would take them over, and becomes that one's firewall's") {
  if (!hasConntrack()) return;
  std::atomic<int> calls{0};
  ConntrackShare share({1000, 1000}, nullptr, [&] { calls++; });
  CHECK(putConntrack(std::vector{tcpEntry(41000)}) == 0);
  share.become(handledBy(1));
  CHECK(tells(share, 41000));
  CHECK(putConntrack(std::vector{tcpEntry(41001)}) == 0);
  CHECK(tells(share, 41001));
  CHECK(calls > 0);

  Bytes of_others;
  appendRecord(of_others, {ConntrackEvent::changed, tcpEntry(42000)});
  share.become(handledBy(2));
  share.receive(2, ConntrackShare::Purpose::copy, of_others);
  CHECK(share.figures().replicas == 1);
  share.become(handledBy(1));
  CHECK(takesOver(share, 1));
  CHECK(timeoutOf(42000) > 0);
  CHECK(timeoutOf(42000) <= 300);

  // What has gone to another one is that one's from then on, also where a handshake is not through,
  ConntrackEntry answered = tcpEntry(42002), unanswered = tcpEntry(42003);
  answered.status = IPS_CONFIRMED | IPS_SEEN_REPLY;
  answered.tcp_state = TCP_CONNTRACK_SYN_RECV;
  unanswered.status = IPS_CONFIRMED;
  unanswered.tcp_state = TCP_CONNTRACK_SYN_SENT;
  CHECK(putConntrack(std::vector{answered, unanswered}) == 0);
  share.become(handledBy(3));
  CHECK(tellsAll(share, {42000, 42002}, 3));
  CHECK(timeoutFalls(42000, 120));
  // and comes back with the flow, without another view.
  share.become(handledBy(1));
  Bytes given;
  appendRecord(given, {ConntrackEvent::changed, tcpEntry(42001)});
  share.receive(3, ConntrackShare::Purpose::copy, given);
  CHECK(tells(share, 42001));
  CHECK(share.figures().replicas == 0);
}

namespace {

// Ports of 192.0.2.101, from 43000 on.
rf_port_ranges portsOf(uint16_t owner) {
  const Address address = ipv4Address(ip(192, 0, 2, 101));
  rf_port_ranges ports{};
  ports.count = ports.parts = 1;
  ports.ranges[0] = {{address.high, address.low}, address.family, 43000, 1000, 0};
  ports.owners[0] = owner;
  return ports;
}

// Of node 1 in a view of these nodes, in which flows are assigned.
struct Flows {
  rf_port_ranges ports{};
  uint32_t epoch = 10;
  std::array<uint32_t, 10> since{1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  std::shared_ptr<FlowExchange> exchange = std::make_shared<FlowExchange>(std::make_shared<FlowMap>(FlowCapacities{.established = 1024, .opening = 1024}),
                                                                         FlowExchange::Limits{.questions_max = 100, .questions_per_s = 100, .told_max = 100, .told_per_s = 100}, [] {});

  // `back`: one of them that has begun anew in this view.
  std::shared_ptr<const Successors> become(uint16_t authority, std::initializer_list<uint16_t> members, uint16_t back = 0) {
    auto successors = std::make_shared<Successors>(*handledBy(authority));
    successors->now.port_ranges = ports;
    auto assignment = std::make_shared<AssignmentTable>();
    assignment->epoch = ++epoch;
    for (const uint16_t node : members) {
      successors->now.members.set(node);
      assignment->since[node] = node == back ? epoch : since[node];
      since[node] = assignment->since[node];
    }
    auto tables = std::make_shared<SteeringTable>(successors->now);
    tables->assignment = assignment;
    exchange->become(tables);
    return successors;
  }
  uint16_t handlerOf(const ConntrackTuple& tuple) const { return exchange->handlerOf(flowKeyOf(tuple)); }
};

Bytes recordOf(const ConntrackEntry& entry) {
  Bytes record;
  appendRecord(record, {ConntrackEvent::changed, entry});
  return record;
}

ConntrackEntry translatedEntry(uint16_t port) {
  ConntrackEntry entry = translatedEntry();
  entry.original.source_port = entry.reply.destination_port = port;
  return entry;
}

ConntrackEntry translatedDatagrams(uint16_t port) {
  ConntrackEntry entry = udp6Entry();
  const ConntrackEntry translated = translatedEntry(port);
  entry.original = translated.original;
  entry.reply = translated.reply;
  entry.original.protocol = entry.reply.protocol = RF_PROTO_UDP;
  entry.status |= IPS_SRC_NAT;
  return entry;
}

}  // namespace

TEST_CASE("where flows are assigned, their authority keeps a copy of another one's connection until that one is gone, and handles it then, its answers too") {
  if (!hasConntrack()) return;
  Flows flows;
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  const ConntrackEntry entry = translatedEntry(43000);
  share.become(flows.become(1, {1, 2, 3}));
  share.receive(3, ConntrackShare::Purpose::copy, recordOf(entry));
  CHECK(share.figures().replicas == 1);
  const auto replica = share.replicaOf(flowKeyOf(entry.original));
  REQUIRE(replica);
  CHECK(replica->told.from == 3);
  CHECK((replica->entry.reply == entry.reply));
  CHECK_FALSE(share.replicaOf(flowKeyOf(entry.reply)));
  share.become(flows.become(1, {1, 3}));
  share.become(flows.become(1, {1, 2}));
  CHECK(takesOver(share, 1));
  CHECK(timeoutOf(43000) > 0);
  CHECK(waitsFor([&] { return flows.handlerOf(entry.original) == 1 && flows.handlerOf(entry.reply) == 1; }));
  CHECK(share.figures().replicas == 0);
}

TEST_CASE("a copy is used where its handler has begun anew; by who was in no view since only if all say that they do not handle it") {
  if (!hasConntrack()) return;
  Flows flows;
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  share.become(flows.become(1, {1, 2, 3}));
  share.receive(3, ConntrackShare::Purpose::copy, recordOf(tcpEntry(43004)));
  share.become(flows.become(1, {1, 2, 3}, 2));
  CHECK(share.figures().replicas == 1);
  share.become(flows.become(1, {1, 2, 3}, 3));
  CHECK(takesOver(share, 1));
  CHECK(timeoutOf(43004) > 0);

  const ConntrackEntry nobodys = tcpEntry(43005), living = tcpEntry(43014);
  share.receive(3, ConntrackShare::Purpose::copy, recordOf(nobodys));
  share.receive(2, ConntrackShare::Purpose::copy, recordOf(living));
  share.become(std::make_shared<Successors>());
  CHECK(share.figures().replicas == 2);
  // The packet path has not forgotten whose it was.
  flows.exchange->give(flowKeyOf(nobodys.original), 3, false);
  share.become(flows.become(1, {1, 2}, 1));
  for (const ConntrackEntry& entry : {nobodys, living}) CHECK(flows.exchange->ask(flowKeyOf(entry.original)));
  CHECK(share.figures().taken_over == 1);
  flows.exchange->settle(flows.exchange->takeQuestions(1000));
  CHECK(takesOver(share, 2));
  CHECK(timeoutOf(43005) > 0);
  CHECK(flows.handlerOf(nobodys.original) == 1);
  // Its handler is there, and does not know it: it is over.
  CHECK(share.figures().nobodys == 1);
  CHECK(timeoutOf(43014) == 0);
}

TEST_CASE("the answers of a translated connection are told as this node's where the packet path knows it as such, and not by what the firewall has of it") {
  if (!hasConntrack()) return;
  Flows flows;
  const ConntrackEntry known = translatedEntry(43006), left_over = translatedEntry(43007);
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  share.become(flows.become(2, {1, 2}));
  flows.exchange->own(flowKeyOf(known.original), false);
  CHECK(putConntrack(std::vector{left_over, known}) == 0);
  CHECK(waitsFor([&] { return flows.handlerOf(known.reply) == 1; }));
  CHECK(flows.handlerOf(left_over.reply) == 0);
}

TEST_CASE("who becomes the authority of the answers of a translated flow without handshakes is told whose they are") {
  if (!hasConntrack()) return;
  Flows flows;
  const ConntrackEntry datagrams = translatedDatagrams(43015), stream = translatedEntry(43016);
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  share.become(flows.become(2, {1, 2, 3}));
  for (const ConntrackEntry& entry : {datagrams, stream}) flows.exchange->own(flowKeyOf(entry.original), false);
  CHECK(putConntrack(std::vector{datagrams, stream}) == 0);
  const auto isTold = [&](uint16_t to, const ConntrackTuple& tuple) {
    bool is_told = false;
    for (const auto& [node, records] : flows.exchange->takeTold(100'000)) {
      for (std::span<const uint8_t> left = records; const auto record = takeFlowRecord(left);) {
        // Asked about when it comes by.
        CHECK_FALSE((node == 3 && flowWords(record->key) == flowWords(flowKeyOf(stream.reply))));
        is_told = is_told || (node == to && flowWords(record->key) == flowWords(flowKeyOf(tuple)));
      }
    }
    return is_told;
  };
  CHECK(waitsFor([&] { return isTold(2, datagrams.reply); }));
  CHECK(waitsFor([&] { return flows.handlerOf(stream.reply) == 1; }));
  (void)flows.exchange->takeTold(100'000);
  share.become(flows.become(3, {1, 2, 3}));
  CHECK(waitsFor([&] { return isTold(3, datagrams.reply); }));
}

TEST_CASE("what this firewall knows already, and of more packets than it is told of, is taken all the same") {
  if (!hasConntrack()) return;
  Flows flows;
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  share.become(flows.become(1, {1, 2}));
  const ConntrackEntry known = tcpEntry(43008);
  ConntrackEntry told = known;
  told.status = IPS_CONFIRMED;
  REQUIRE(putConntrack(std::vector{known}) == 0);
  CHECK(putEach(std::vector{told}) == std::vector{EBUSY});
  share.receive(2, ConntrackShare::Purpose::move, recordOf(told));
  CHECK(tells(share, 43008, 2, ConntrackShare::Purpose::taken));
}

TEST_CASE("a copy of a connection that is over is taken over by nobody, nor that of one between ends between which another node handles one by now") {
  if (!hasConntrack()) return;
  Flows flows;
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  share.become(flows.become(1, {1, 2, 3}));
  ConntrackEntry over = tcpEntry(43011);
  over.tcp_state = TCP_CONNTRACK_TIME_WAIT;
  const ConntrackEntry anothers = tcpEntry(43012), ours = tcpEntry(43013);
  for (const ConntrackEntry& entry : {over, anothers, ours}) share.receive(3, ConntrackShare::Purpose::copy, recordOf(entry));
  CHECK(share.figures().replicas == 3);
  flows.exchange->give(flowKeyOf(anothers.original), 2, false);
  share.become(flows.become(1, {1, 2}));
  CHECK(takesOver(share, 1));
  CHECK(flows.handlerOf(ours.original) == 1);
  CHECK(flows.handlerOf(over.original) == 0);
  CHECK(flows.handlerOf(anothers.original) == 2);
  CHECK(share.figures().taken_over == 1);
}

TEST_CASE("a connection that another node is known to handle is that one's to tell") {
  if (!hasConntrack()) return;
  Flows flows;
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  CHECK(putConntrack(std::vector{tcpEntry(43001), tcpEntry(43002)}) == 0);
  const auto successors = flows.become(2, {1, 2, 3});
  flows.exchange->give(flowKeyOf(tcpEntry(43001).original), 3, false);
  flows.exchange->own(flowKeyOf(tcpEntry(43002).original), false);
  share.become(successors);
  bool is_told = false;
  CHECK(waitsFor([&] {
    bool is_over = false;
    for (const auto& delivery : share.take(100'000)) {
      for (std::span<const uint8_t> left = delivery.records; const auto message = takeRecord(left);) {
        is_told = is_told || message->entry.original.source_port == 43001;
        is_over = is_over || message->entry.original.source_port == 43002;
      }
    }
    return is_over;
  }));
  CHECK_FALSE(is_told);
}

TEST_CASE("a node that drains gives its connections to their authorities, which say that they have taken them") {
  if (!hasConntrack()) return;
  Flows giver, taker;
  ConntrackShare giving({1000, 1000}, giver.exchange, [] {}), taking({1000, 1000}, taker.exchange, [] {});
  const ConntrackEntry entry = translatedEntry(43003);
  REQUIRE(putConntrack(std::vector{entry}) == 0);
  giving.become(giver.become(2, {1, 2}));
  giver.exchange->own(flowKeyOf(entry.original), false);
  giving.drain(true);
  const auto carry = [](ConntrackShare& from, uint16_t node, ConntrackShare& to, ConntrackShare::Purpose what) {
    for (const auto& [receiver, purpose, records] : from.take(100'000)) {
      if (purpose == what) to.receive(node, purpose, records);
    }
  };
  CHECK(waitsFor([&] {
    carry(giving, 1, taking, ConntrackShare::Purpose::move);
    return taking.figures().taken_over_refused > 0;
  }));
  // It is in no view, and has taken nothing.
  CHECK(taker.handlerOf(entry.original) == 0);
  CHECK(giver.handlerOf(entry.original) == 1);
  taking.become(taker.become(1, {1, 2}));
  CHECK(waitsFor([&] {
    carry(giving, 1, taking, ConntrackShare::Purpose::move);
    carry(taking, 2, giving, ConntrackShare::Purpose::taken);
    return giver.handlerOf(entry.original) == 2 && giver.handlerOf(entry.reply) == 2;
  }));
  CHECK(giving.figures().moved > 0);
}

TEST_CASE("a node that drains gives away also what its own ports name it the authority of") {
  if (!hasConntrack()) return;
  Flows flows;
  flows.ports = portsOf(1);
  ConntrackShare share({1000, 1000}, flows.exchange, [] {});
  ConntrackEntry entry = tcpEntry(43018);
  entry.original.destination = entry.reply.source = ipv4Address(ip(192, 0, 2, 101));
  entry.original.destination_port = entry.reply.source_port = 43500;
  REQUIRE(putConntrack(std::vector{entry}) == 0);
  const auto successors = flows.become(2, {1, 2});
  REQUIRE(isOurs(entry, *successors));
  share.become(successors);
  flows.exchange->own(flowKeyOf(entry.original), false);
  share.drain(true);
  CHECK(waitsFor([&] {
    for (const auto& [node, purpose, records] : share.take(100'000)) {
      if (node != 2 || purpose != ConntrackShare::Purpose::move) continue;
      for (std::span<const uint8_t> left = records; const auto message = takeRecord(left);) {
        if (message->entry.original.source_port == 43018) return true;
      }
    }
    return false;
  }));
}

TEST_CASE("flows of connections that the firewall knows are found by their keys, either way") {
  if (!hasConntrack()) return;
  // Of a port of its own: a kernel that knows its first packets' way already would not translate it.
  const std::vector<ConntrackEntry> all = {tcpEntry(43100), translatedEntry(43101), udp6Entry(), pingEntry()};
  REQUIRE(putConntrack(all) == 0);
  const ConntrackTuple unknown = tcpEntry(39'999).original;
  std::vector<rf_flow_key> keys = {flowKeyOf(unknown)};
  for (const ConntrackEntry& entry : all) {
    keys.push_back(flowKeyOf(entry.original));
    keys.push_back(flowKeyOf(entry.reply));
  }
  const auto found = findConnections(keys);
  REQUIRE(found.size() == keys.size());
  CHECK_FALSE(found[0]);
  for (std::size_t i = 1; i < keys.size(); i++) {
    INFO(i);
    REQUIRE(found[i]);
    CHECK((flowWords(flowKeyOf(found[i]->original)) == flowWords(flowKeyOf(all[(i - 1) / 2].original))));
  }
  const auto connections = findConnections(keys);
  CHECK_FALSE(connections[0]);
  for (std::size_t i = 1; i < keys.size(); i++) {
    REQUIRE(connections[i]);
    CHECK((connections[i]->original == all[(i - 1) / 2].original));
    CHECK((connections[i]->reply == all[(i - 1) / 2].reply));
  }
}

TEST_CASE("more flows than one request asks for are looked up") {
  if (!hasConntrack()) return;
  std::vector<ConntrackEntry> entries;
  std::vector<rf_flow_key> keys;
  for (uint16_t port = 20'000; port < 20'300; port++) {
    keys.push_back(flowKeyOf(tcpEntry(port).original));
    if (port % 2 == 0) entries.push_back(tcpEntry(port));
  }
  REQUIRE(putConntrack(entries) == 0);
  const auto found = findConnections(keys);
  for (std::size_t i = 0; i < keys.size(); i++) CHECK(found[i].has_value() == (i % 2 == 0));
}
