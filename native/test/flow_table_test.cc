#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "../tables/flow_table.h"

using namespace rainfront;

namespace {

constexpr uint64_t kLife_ns = 10'000'000'000;
constexpr uint64_t kTick_ns = uint64_t{1} << 26;
constexpr rf_hash_key kSecret = {11, 12};

rf_flow_key flow(uint32_t id) { return {{0, 0x0a000000 + id / 3}, {0, 0xc6336407}, id * 0x9e37u, RF_ETHERTYPE_IPV4, RF_PROTO_UDP}; }
uint64_t hashOf(uint32_t id) {
  const rf_flow_key key = flow(id);
  return rf_flow_hash(&key, &kSecret);
}

// A node that only this flow would name, so that an answer that was put together from two flows shows.
uint16_t nodeOf(uint32_t id) { return static_cast<uint16_t>(hashOf(id) >> 20 | 1); }

void insert(FlowTable& table, uint32_t id, uint64_t now_ns = 0) { table.insert(flow(id), hashOf(id), nodeOf(id), now_ns); }
uint64_t find(const FlowTable& table, uint32_t id, uint64_t now_ns = 0) { return table.find(flow(id), hashOf(id), now_ns); }
bool remove(FlowTable& table, uint32_t id) { return table.remove(flow(id), hashOf(id)); }

class Random {
 public:
  explicit Random(unsigned seed) : random_(seed) {}
  uint32_t below(std::size_t n) { return static_cast<uint32_t>(random_() % n); }

 private:
  std::mt19937 random_;
};

// A capacity that fills seven of each bucket's eight slots, which is the most that a table is made for.
constexpr std::size_t kTight = 7 * 256;

}  // namespace

TEST_CASE("a flow is found under its node until it is removed, and may change its node") {
  FlowTable table(100, kLife_ns);
  CHECK(find(table, 1) == 0);
  insert(table, 1);
  CHECK(find(table, 1) == nodeOf(1));
  CHECK(find(table, 2) == 0);
  table.insert(flow(1), hashOf(1), 7, 0);
  CHECK(find(table, 1) == 7);
  CHECK(table.size() == 1);
  CHECK(remove(table, 1));
  CHECK_FALSE(remove(table, 1));
  CHECK(find(table, 1) == 0);
  CHECK(table.size() == 0);
}

TEST_CASE("keys that differ in any one part are different flows, even under one hash") {
  FlowTable table(100, kLife_ns);
  const rf_flow_key base = {{1, 2}, {3, 4}, 5, 6, 7};
  std::vector<rf_flow_key> keys(8, base);
  keys[1].addr_low[0]++, keys[2].addr_low[1]++, keys[3].addr_high[0]++, keys[4].addr_high[1]++;
  keys[5].ports++, keys[6].family++, keys[7].protocol++;
  for (std::size_t i = 0; i < keys.size(); i++) {
    CHECK(table.find(keys[i], 99, 0) == 0);
    table.insert(keys[i], 99, static_cast<uint16_t>(i + 1), 0);
  }
  for (std::size_t i = 0; i < keys.size(); i++) CHECK(table.find(keys[i], 99, 0) == i + 1);
}

TEST_CASE("a table made for so many flows holds them all, in memory that stays as it is") {
  FlowTable table(kTight, kLife_ns);
  CHECK(table.buckets() == 256);
  for (uint32_t id = 0; id < kTight; id++) insert(table, id);
  CHECK(table.counters().evicted == 0);
  CHECK(table.counters().moved > 0);
  CHECK(table.size() == kTight);
  for (uint32_t id = 0; id < kTight; id++) CHECK(find(table, id) == nodeOf(id));
  CHECK(table.buckets() == 256);
}

TEST_CASE("impossible capacities are refused") {
  CHECK_THROWS_AS(FlowTable(0, kLife_ns), std::invalid_argument);
  CHECK_THROWS_AS(FlowTable(FlowTable::kCapacity_max + 1, kLife_ns), std::invalid_argument);
}

TEST_CASE("under random changes the table says what a map says") {
  FlowTable table(kTight, kLife_ns);
  std::unordered_map<uint32_t, uint16_t> model;
  Random random(42);
  for (int step = 0; step < 200'000; step++) {
    const uint32_t id = random.below(kTight * 5 / 4);
    const uint16_t node = static_cast<uint16_t>(random.below(65535) + 1);
    const auto known = model.find(id);
    switch (random.below(4)) {
      case 0:
        REQUIRE(remove(table, id) == (known != model.end()));
        model.erase(id);
        break;
      case 1:
      case 2:
        if (known == model.end() && model.size() >= kTight) break;
        table.insert(flow(id), hashOf(id), node, 0);
        model[id] = node;
        break;
      default:
        REQUIRE(find(table, id) == (known == model.end() ? 0 : known->second));
    }
    REQUIRE(table.size() == model.size());
  }
  CHECK(table.counters().evicted == 0);
  CHECK(table.counters().moved > 0);
}

TEST_CASE("a full table lets those go that were used least recently, counts them, and never grows") {
  FlowTable table(1000, kLife_ns);
  const uint32_t flows = static_cast<uint32_t>(20 * table.slots());
  const uint32_t hot = flows + 1;
  uint64_t now_ns = 0;
  insert(table, hot);
  for (uint32_t id = 0; id < flows; id++) {
    // So slow that all stay alive, so fast that each is older than the next.
    now_ns = id * (kLife_ns / flows) * 16 / 17;
    insert(table, id, now_ns);
    REQUIRE(table.size() <= table.slots());
    REQUIRE(find(table, id, now_ns) == nodeOf(id));
    REQUIRE(find(table, hot, now_ns) == nodeOf(hot));
  }
  CHECK(table.counters().expired == 0);
  CHECK(table.counters().inserted == flows + 1);
  CHECK(table.counters().evicted == flows + 1 - table.size());
  CHECK(table.size() > table.slots() / 16 * 15);
}

TEST_CASE("flows that nobody sees are forgotten, and those that are looked up are not") {
  FlowTable table(100, kLife_ns);
  for (uint32_t id = 0; id < 3; id++) insert(table, id);
  CHECK(find(table, 0, kLife_ns - 1) == nodeOf(0));
  const uint64_t later_ns = kLife_ns + 2 * kTick_ns;
  CHECK(find(table, 0, later_ns) == nodeOf(0));
  CHECK(find(table, 1, later_ns) == 0);
  CHECK(table.size() == 3);
  CHECK(table.sweep(table.buckets(), later_ns) == 2);
  CHECK(table.size() == 1);
  CHECK(table.counters().expired == 2);
  CHECK(table.counters().evicted == 0);
  insert(table, 1, later_ns);
  CHECK(find(table, 1, later_ns) == nodeOf(1));
}

TEST_CASE("who only looks sees what is there, and no flow lives longer for it") {
  FlowTable table(100, kLife_ns);
  for (uint32_t id = 0; id < 50; id++) insert(table, id, id % 2 == 0 ? 0 : 5 * kTick_ns);
  const auto idsAt = [&](uint64_t now_ns) {
    std::size_t count = 0;
    CHECK(table.forEach(now_ns, [&](const FlowSight& seen) {
      for (uint32_t id = 0; id < 50; id++) count += flowWords(flow(id)) == flowWords(seen.key) && seen.value == nodeOf(id) ? 1 : 0;
      return true;
    }));
    return count;
  };
  CHECK(idsAt(kLife_ns - 1) == 50);
  const auto seen = table.peek(flow(2), hashOf(2), kLife_ns - 1);
  REQUIRE(seen);
  CHECK(seen->value == nodeOf(2));
  CHECK(seen->idle_ns <= kLife_ns - 1);
  CHECK(seen->idle_ns + kTick_ns > kLife_ns - 1);
  CHECK_FALSE(table.peek(flow(77), hashOf(77), 0));
  const uint64_t later_ns = kLife_ns + 2 * kTick_ns;
  CHECK(idsAt(later_ns) == 25);
  CHECK_FALSE(table.peek(flow(2), hashOf(2), later_ns));
  CHECK(find(table, 2, later_ns) == 0);
  int visited = 0;
  CHECK_FALSE(table.forEach(0, [&](const FlowSight&) { return ++visited < 3; }));
  CHECK(visited == 3);
}

TEST_CASE("a clock that is read a moment earlier than another makes no flow old") {
  FlowTable table(100, kLife_ns);
  insert(table, 1, 5 * kTick_ns);
  CHECK(find(table, 1, 0) == nodeOf(1));
  CHECK(find(table, 1, kLife_ns + 5 * kTick_ns - 1) == nodeOf(1));
}

TEST_CASE("sweeps of a few buckets come to all of them") {
  FlowTable table(kTight, kLife_ns);
  for (uint32_t id = 0; id < kTight; id++) insert(table, id);
  std::size_t forgotten = 0;
  for (std::size_t call = 0; call < table.buckets() / 4; call++) {
    const std::size_t found = table.sweep(4, 2 * kLife_ns);
    CHECK(found <= 4 * kFlowSlots);
    forgotten += found;
  }
  CHECK(forgotten == kTight);
  CHECK(table.size() == 0);
}

TEST_CASE("what has expired makes way for new flows and is no eviction") {
  FlowTable table(kTight, kLife_ns);
  for (uint32_t id = 0; id < kTight; id++) insert(table, id);
  for (uint32_t id = kTight; id < 2 * kTight; id++) insert(table, id, 2 * kLife_ns);
  CHECK(table.counters().evicted == 0);
  CHECK(table.counters().expired > 0);
  for (uint32_t id = kTight; id < 2 * kTight; id++) REQUIRE(find(table, id, 2 * kLife_ns) == nodeOf(id));
}

TEST_CASE("a batch finds what single lookups find") {
  FlowTable table(kTight, kLife_ns);
  const uint64_t now_ns = 2 * kLife_ns;
  // Some are old, some are fresh, and some were never there; many are in their second bucket.
  for (uint32_t id = 0; id < kTight; id++) insert(table, id, id % 3 == 0 ? 0 : now_ns);
  Random random(7);
  uint32_t found = 0;
  for (unsigned size = 0; size <= FlowTable::kBatch_max; size++) {
    std::vector<rf_flow_key> keys;
    std::vector<uint64_t> hashes;
    std::vector<uint64_t> nodes(size + 1, 0xbeef);
    for (unsigned i = 0; i < size; i++) {
      const uint32_t id = random.below(2 * kTight);
      keys.push_back(flow(id));
      hashes.push_back(hashOf(id));
    }
    for (const uint64_t hash : hashes) table.prefetch(hash);
    table.findBatch(keys.data(), hashes.data(), size, now_ns, nodes.data());
    for (unsigned i = 0; i < size; i++) {
      REQUIRE(nodes[i] == table.find(keys[i], hashes[i], now_ns));
      found += nodes[i] != 0 ? 1 : 0;
    }
    CHECK(nodes[size] == 0xbeef);
  }
  CHECK(found > 500);
  CHECK(found < 1200);
}

TEST_CASE("flows that all fall into one bucket cost each other their places, and nobody else") {
  FlowTable table(1000, kLife_ns);
  for (uint32_t id = 0; id < 500; id++) insert(table, id);
  const uint64_t hash = hashOf(0);
  for (uint32_t id = 1000; id < 2000; id++) {
    table.insert(flow(id), hash, nodeOf(id), 2 * kTick_ns);
    REQUIRE(table.find(flow(id), hash, 2 * kTick_ns) == nodeOf(id));
  }
  std::size_t left = 0;
  for (uint32_t id = 1000; id < 2000; id++) {
    const uint64_t node = table.find(flow(id), hash, 2 * kTick_ns);
    REQUIRE((node == 0 || node == nodeOf(id)));
    left += node != 0 ? 1 : 0;
  }
  CHECK(left >= kFlowSlots);
  CHECK(left <= 2 * kFlowSlots);
  std::size_t gone = 0;
  for (uint32_t id = 0; id < 500; id++) gone += find(table, id) == nodeOf(id) ? 0 : 1;
  CHECK(gone <= 2 * kFlowSlots);
  CHECK(table.counters().evicted == 1000 - left + gone);
}

TEST_CASE("the tags of free slots are nobody's") {
  FlowTable table(8, kLife_ns);
  // Their tag would be that of a free slot.
  for (uint32_t id = 0; id < 4; id++) CHECK(table.find(flow(id), 0, 0) == 0);
  table.insert({}, 0, 9, 0);
  CHECK(table.find({}, 0, 0) == 9);
  CHECK(table.remove({}, 0));
  CHECK(table.find({}, 0, 0) == 0);
  CHECK_FALSE(table.remove({}, 0));
}

namespace {

// A flow as a lookup wants it, made beforehand: the less the threads do beside the table, the more they meet in it.
struct Known {
  rf_flow_key key;
  uint64_t hash;
  uint16_t node;
};

// What a reader saw while the writer was at work.
struct Observed {
  uint64_t lookups = 0;
  uint64_t hits = 0;
  uint64_t wrong = 0;
  uint64_t missing = 0;  // of those that were there all the time
};

// Runs two readers, which look up `flows` one by one and in batches, until `write` is done and for a while at least. The first `stable` are always there.
template <class Write>
std::array<Observed, 2> observeWhile(const FlowTable& table, const std::vector<Known>& flows, std::size_t stable, Write write) {
  std::atomic<bool> is_over = false;
  std::array<Observed, 2> seen;
  std::vector<rf_flow_key> keys;
  std::vector<uint64_t> hashes;
  for (const Known& known : flows) {
    keys.push_back(known.key);
    hashes.push_back(known.hash);
  }
  const auto read = [&](Observed& by) {
    std::vector<uint64_t> nodes(flows.size());
    for (int round = 0; round < 1000 || !is_over.load(); round++) {
      if (round % 2 == 0) {
        table.findBatch(keys.data(), hashes.data(), static_cast<unsigned>(flows.size()), 0, nodes.data());
      } else {
        for (std::size_t i = 0; i < flows.size(); i++) nodes[i] = table.find(keys[i], hashes[i], 0);
      }
      for (std::size_t i = 0; i < flows.size(); i++) {
        by.lookups++;
        by.hits += nodes[i] != 0 ? 1 : 0;
        by.wrong += nodes[i] != 0 && nodes[i] != flows[i].node ? 1 : 0;
        by.missing += i < stable && nodes[i] == 0 ? 1 : 0;
      }
    }
  };
  std::thread first(read, std::ref(seen[0]));
  std::thread second(read, std::ref(seen[1]));
  write();
  is_over = true;
  first.join();
  second.join();
  return seen;
}

// So long that nothing expires while a test's writer counts a tick for each of its steps.
constexpr uint64_t kLong_ns = kTick_ns << 28;

// A table of four buckets, nearly full, where hardly a flow comes in without another moving: some flows stay, others come and go.
class Bustle {
 public:
  static constexpr std::size_t kStable = 12;
  static constexpr std::size_t kPassing = 17;

  FlowTable table{24, kLong_ns};
  std::vector<Known> flows;

  Bustle() : order_(48 - kStable) {
    for (uint32_t id = 0; id < 48; id++) flows.push_back({flow(id), hashOf(id), nodeOf(id)});
    std::iota(order_.begin(), order_.end(), kStable);
    for (std::size_t i = 0; i < kStable + kPassing; i++) put(flows[i]);
  }

  void change() {
    // One of those that stay is used, so that it is not the oldest.
    put(flows[step_++ % kStable]);
    const std::size_t at = random_.below(kPassing);
    table.remove(flows[order_[at]].key, flows[order_[at]].hash);
    std::swap(order_[at], order_[kPassing + random_.below(order_.size() - kPassing)]);
    put(flows[order_[at]]);
  }

 private:
  void put(const Known& known) { table.insert(known.key, known.hash, known.node, now_ns_ += kTick_ns); }

  std::vector<std::size_t> order_;
  std::size_t step_ = 0;
  uint64_t now_ns_ = 0;
  Random random_{9};
};

}  // namespace

TEST_CASE("wherever the writer comes between a reader's steps, the reader finds what stays and no other flow's node") {
  Bustle bustle;
  Random random(4);
  std::vector<rf_flow_key> keys;
  std::vector<uint64_t> hashes;
  for (const Known& known : bustle.flows) {
    keys.push_back(known.key);
    hashes.push_back(known.hash);
  }
  std::vector<uint64_t> nodes(keys.size());
  const auto come_between = [&] {
    if (random.below(8) == 0) bustle.change();
  };
  for (int round = 0; round < 4'000; round++) {
    if (round % 2 == 0) {
      bustle.table.findBatch(keys.data(), hashes.data(), static_cast<unsigned>(keys.size()), 0, nodes.data(), come_between);
    } else {
      for (std::size_t i = 0; i < keys.size(); i++) nodes[i] = bustle.table.look(keys[i], hashes[i], 0, come_between).value;
    }
    for (std::size_t i = 0; i < keys.size(); i++) {
      REQUIRE((nodes[i] == bustle.flows[i].node || (i >= Bustle::kStable && nodes[i] == 0)));
    }
  }
  CHECK(bustle.table.counters().moved > 1000);
  CHECK(bustle.table.counters().contended == 0);
}

TEST_CASE("a reader that meets the writer again and again gives up, and says so") {
  FlowTable table(8, kLong_ns);
  insert(table, 1);
  int steps = 0;
  const auto come_between = [&] {
    steps++;
    table.remove(flow(1), hashOf(1));
    table.insert(flow(1), hashOf(1), nodeOf(1), 0);
  };
  CHECK(table.look(flow(1), hashOf(1), 0, come_between).value == 0);
  CHECK(table.counters().contended == 1);
  CHECK(steps < 1000);
  CHECK(find(table, 1) == nodeOf(1));
}

TEST_CASE("readers never see one flow's key with another's node, in a slot that changes all the time") {
  FlowTable table(8, kLong_ns);
  std::vector<Known> flows;
  for (uint32_t id = 0; id < 3; id++) flows.push_back({flow(id), hashOf(0), nodeOf(id)});
  const auto seen = observeWhile(table, flows, 0, [&] {
    for (uint32_t step = 0; step < 400'000; step++) {
      const Known& known = flows[step % flows.size()];
      table.insert(known.key, known.hash, known.node, 0);
      table.remove(known.key, known.hash);
    }
  });
  for (const Observed& by : seen) CHECK(by.wrong == 0);
}

TEST_CASE("who only looks sees no flow's key with another's node, and misses none that stays, while others come and go") {
  Bustle bustle;
  std::atomic<bool> is_over = false;
  uint64_t wrong = 0, missing = 0, all = 0;
  std::thread reader([&] {
    for (int round = 0; round < 1000 || !is_over.load(); round++) {
      for (std::size_t i = 0; i < bustle.flows.size(); i++) {
        const auto seen = bustle.table.peek(bustle.flows[i].key, bustle.flows[i].hash, 0);
        wrong += seen && seen->value != bustle.flows[i].node ? 1 : 0;
        missing += i < Bustle::kStable && !seen ? 1 : 0;
      }
      (void)bustle.table.forEach(0, [&](const FlowSight& seen) {
        const auto known = std::find_if(bustle.flows.begin(), bustle.flows.end(), [&](const Known& one) { return flowWords(one.key) == flowWords(seen.key); });
        wrong += known == bustle.flows.end() || known->node != seen.value ? 1 : 0;
        all++;
        return true;
      });
    }
  });
  for (int i = 0; i < 100'000; i++) bustle.change();
  is_over = true;
  reader.join();
  CHECK(wrong == 0);
  // Those looks that gave up are counted.
  CHECK(missing <= bustle.table.counters().contended);
  CHECK(all > 0);
}

TEST_CASE("readers miss no flow that stays, while others come and go and make it move") {
  Bustle bustle;
  const auto seen = observeWhile(bustle.table, bustle.flows, Bustle::kStable, [&] {
    for (std::size_t step = 0; step < 200'000; step++) bustle.change();
  });
  CHECK(bustle.table.counters().moved > 5'000);
  for (const Observed& by : seen) {
    CHECK(by.wrong == 0);
    CHECK(by.hits > by.lookups / 3);
    // Those lookups that gave up are counted.
    CHECK(by.missing <= bustle.table.counters().contended);
  }
}
