// What a packet costs from its first byte to its verdict, at several numbers of flows, beside DPDK's rte_hash with the same keys. Started by bench/pipeline.ts:
// pipeline_bench ROUNDS FLOWS... prints one JSON object a line, and exits 1 when a packet did not get the verdict it must.
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>

#include "rte_hash_peer.h"
#include "stopwatch.h"
#include "traffic.h"
#include "xdp_costs.h"

using namespace rainfront;
using namespace rainfront::bench;

namespace {

constexpr uint64_t kLife_ns = 3'600'000'000'000;
constexpr std::size_t kWarmUp = 40;
constexpr std::size_t kStretches = 200;

// A view of three nodes, of which this is the first.
struct Node {
  std::unique_ptr<SteeringTable> steering = std::make_unique<SteeringTable>();
  VipSet vips;
  FragmentTable fragments{{5, 6}};
  std::atomic<uint64_t> lease_until_ns{UINT64_MAX};
  rf_tables tables{steering.get(), &vips, &fragments, &lease_until_ns};

  Node() {
    steering->self = 1;
    steering->has_view = true;
    steering->secret = {0x0123456789abcdef, 0xfedcba9876543210};
    for (std::size_t slot = 0; slot < kMaglevSlots; slot++) steering->slots[slot] = static_cast<uint16_t>(slot % 3 + 1);
    for (std::size_t node = 1; node <= 3; node++) steering->members.set(node);
  }
  uint16_t authority(const rf_flow_key& key) const { return rf_tables_authority_of(&tables, rf_tables_flow_hash(&tables, &key)); }
};

// One way to find the nodes of a stretch of packets. Returns their sum, by which all are compared.
struct Contestant {
  std::string name;
  std::function<uint64_t(const Traffic&)> run;
  std::vector<double> ns{};
  double instructions = 0;
};

// As a port does it: frame by frame, with the node from the Maglev table. Nothing is remembered of a flow.
uint64_t runPort(const Traffic& traffic, const Node& node, rf_work& work) {
  const uint64_t now_ns = monotonicNow_ns();
  uint64_t sum = 0;
  for (std::size_t n = 0; n < kBatches; n++) {
    for (const rf_bytes& frame : traffic.batch(n)) {
      const rf_verdict verdict = rf_steer(&frame, frame, kFrontMac.data(), &node.tables, now_ns, &work);
      sum += verdict.node + (verdict.kind == RF_VERDICT_PASS ? 1u : 0u);
    }
  }
  return sum;
}

// In batches, with the node from a flow table.
uint64_t runPipeline(const Traffic& traffic, const Node& node, FlowTable& flows, FlowBatch& batch) {
  const uint64_t now_ns = monotonicNow_ns();
  uint64_t sum = 0;
  for (std::size_t n = 0; n < kBatches; n++) {
    batch.steer(traffic.batch(n), kFrontMac.data(), node.tables, flows, now_ns);
    for (std::size_t i = 0; i < FlowBatch::kFrames_max; i++) {
      const rf_verdict& verdict = batch.verdict(i);
      // Without a branch: which node a random flow has is nothing that can be foretold.
      sum += verdict.node + (verdict.kind == RF_VERDICT_PASS ? 1u : 0u);
    }
  }
  return sum;
}

uint64_t runTable(const Traffic& traffic, const Node& node, const FlowTable& flows) {
  const uint64_t now_ns = monotonicNow_ns();
  std::array<uint64_t, FlowTable::kBatch_max> hashes;
  std::array<uint64_t, FlowTable::kBatch_max> nodes;
  uint64_t sum = 0;
  for (std::size_t n = 0; n < kBatches; n++) {
    const rf_flow_key* keys = traffic.keys(n);
    for (std::size_t i = 0; i < hashes.size(); i++) {
      hashes[i] = rf_flow_hash(&keys[i], &node.steering->secret);
      flows.prefetch(hashes[i]);
    }
    flows.findBatch(keys, hashes.data(), FlowTable::kBatch_max, now_ns, nodes.data());
    for (const uint64_t found : nodes) sum += found;
  }
  return sum;
}

uint64_t runPeer(const Traffic& traffic, const RteHashPeer& peer) {
  uint64_t sum = 0;
  for (std::size_t n = 0; n < kBatches; n++) sum += peer.find64(reinterpret_cast<const uint8_t*>(traffic.keys(n)));
  return sum;
}

// Puts every flow in by the pipeline itself, and says what their packets cost.
std::vector<double> fill(uint32_t count, const Node& node, FlowTable& flows, FlowBatch& batch) {
  auto traffic = std::make_unique<Traffic>(count);
  std::vector<double> ns;
  for (uint32_t first = 0; first < count; first += kStretch) {
    traffic->enumerate(first);
    const uint64_t before_ns = monotonicNow_ns();
    runPipeline(*traffic, node, flows, batch);
    ns.push_back(static_cast<double>(monotonicNow_ns() - before_ns) / kStretch);
  }
  return ns;
}

std::unique_ptr<RteHashPeer> filledPeer(uint32_t count, const Node& node, PeerHash hash) {
  // Filled to the last entry it would refuse some, as it has no way to let others go.
  auto peer = std::make_unique<RteHashPeer>(count / 8 * 9 + 64, sizeof(rf_flow_key), hash);
  auto traffic = std::make_unique<Traffic>(count);
  for (uint32_t first = 0; first < count; first += kStretch) {
    traffic->enumerate(first);
    for (uint32_t i = 0; i < kStretch && first + i < count; i++) {
      const rf_flow_key& key = traffic->keys(0)[i];
      peer->add(&key, node.authority(key));
    }
  }
  return peer;
}

// Contestants take turns, so that what else the machine does meets all of them.
void measure(uint32_t count, unsigned rounds, const Node& node, std::vector<Contestant>& contestants, InstructionCounter& instructions) {
  auto traffic = std::make_unique<Traffic>(count);
  for (unsigned round = 0; round < rounds; round++) {
    for (Contestant& contestant : contestants) {
      for (std::size_t stretch = 0; stretch < kWarmUp + kStretches; stretch++) {
        traffic->draw();
        const uint64_t before_ns = monotonicNow_ns();
        const uint64_t sum = contestant.run(*traffic);
        const uint64_t after_ns = monotonicNow_ns();
        if (stretch >= kWarmUp) contestant.ns.push_back(static_cast<double>(after_ns - before_ns) / kStretch);
        uint64_t expected = 0;
        for (std::size_t i = 0; stretch == 0 && i < kStretch; i++) expected += node.authority(traffic->keys(0)[i]);
        if (stretch == 0 && sum != expected) throw std::runtime_error(contestant.name + ": wrong nodes");
      }
    }
  }
  if (!instructions.fault().empty()) return;
  for (Contestant& contestant : contestants) {
    traffic->draw();
    instructions.start();
    contestant.run(*traffic);
    contestant.instructions = static_cast<double>(instructions.stop()) / kStretch;
  }
}

void print(uint32_t count, const Contestant& contestant) {
  const double ns_min = *std::min_element(contestant.ns.begin(), contestant.ns.end());
  std::printf("{\"flows\":%u,\"what\":\"%s\",\"ns\":%.2f,\"ns_min\":%.2f", count, contestant.name.c_str(), medianOf(contestant.ns), ns_min);
  if (contestant.instructions > 0) std::printf(",\"instructions\":%.1f", contestant.instructions);
  std::printf("}\n");
  std::fflush(stdout);
}

void benchFlows(uint32_t count, unsigned rounds, const std::string& no_peer, InstructionCounter& instructions) {
  const Node node;
  FlowBatch batch;
  FlowTable flows(count, kLife_ns);
  FlowTable small_pages(count, kLife_ns, FlowTable::Pages::kSmall);
  const auto work = std::make_unique<rf_work>();
  Contestant newcomers{"with a flow table, new flows", {}, fill(count, node, flows, batch)};
  fill(count, node, small_pages, batch);
  if (flows.counters().evicted != 0 || flows.size() != count) throw std::runtime_error("the flow table lost flows");
  std::vector<Contestant> contestants;
  contestants.push_back({"as a port, by the hash", [&](const Traffic& traffic) { return runPort(traffic, node, *work); }});
  contestants.push_back({"with a flow table", [&](const Traffic& traffic) { return runPipeline(traffic, node, flows, batch); }});
  contestants.push_back({"with a flow table, 4 KiB pages", [&](const Traffic& traffic) { return runPipeline(traffic, node, small_pages, batch); }});
  contestants.push_back({"hash and flow table alone", [&](const Traffic& traffic) { return runTable(traffic, node, flows); }});
  contestants.push_back({"hash and flow table alone, 4 KiB pages", [&](const Traffic& traffic) { return runTable(traffic, node, small_pages); }});
  std::unique_ptr<RteHashPeer> crc, jhash;
  if (no_peer.empty()) {
    crc = filledPeer(count, node, PeerHash::kCrc);
    jhash = filledPeer(count, node, PeerHash::kJhash);
    contestants.push_back({"rte_hash bulk, crc", [&](const Traffic& traffic) { return runPeer(traffic, *crc); }});
    contestants.push_back({"rte_hash bulk, jhash", [&](const Traffic& traffic) { return runPeer(traffic, *jhash); }});
  }
  measure(count, rounds, node, contestants, instructions);
  contestants.push_back(std::move(newcomers));
  for (const Contestant& contestant : contestants) print(count, contestant);
}

// Buckets and keys of two tables, and their lists of free entries.
unsigned peerMemory_MB(uint32_t flows_max) { return 64 + static_cast<unsigned>(uint64_t{flows_max} * 2 * 110 / 1'000'000); }

std::string benchXdp([[maybe_unused]] unsigned rounds, [[maybe_unused]] std::vector<Contestant>& rows) {
#ifdef RF_HAS_XDP
  std::string fault;
  for (XdpCost& cost : xdpCosts(rounds, fault)) rows.push_back({std::move(cost.what), {}, std::move(cost.ns)});
  return fault;
#else
  return "built without clang or libbpf";
#endif
}

// On one processor, with a peer or without.
void stayHere() {
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(static_cast<unsigned>(sched_getcpu()), &here);
  sched_setaffinity(0, sizeof here, &here);
}

}  // namespace

int main(int count, char** words) {
  try {
    std::vector<uint32_t> flows;
    for (int i = 2; i < count; i++) flows.push_back(static_cast<uint32_t>(std::strtoul(words[i], nullptr, 10)));
    const unsigned rounds = count > 1 ? static_cast<unsigned>(std::strtoul(words[1], nullptr, 10)) : 0;
    const bool in_bounds = std::all_of(flows.begin(), flows.end(), [](uint32_t n) { return n > 0 && n <= kFlows_max; });
    if (rounds == 0 || flows.empty() || !in_bounds) {
      std::fprintf(stderr, "usage: pipeline_bench ROUNDS FLOWS... (of at most %u)\n", kFlows_max);
      return 2;
    }
    const std::string no_peer = startPeer(peerMemory_MB(*std::max_element(flows.begin(), flows.end())));
    stayHere();
    InstructionCounter instructions;
    std::vector<Contestant> in_kernel;
    const std::string no_xdp = benchXdp(rounds, in_kernel);
    std::printf("{\"no_peer\":\"%s\",\"no_instructions\":\"%s\",\"no_xdp\":\"%s\"}\n", no_peer.c_str(), instructions.fault().c_str(), no_xdp.c_str());
    for (const Contestant& row : in_kernel) print(1, row);
    for (const uint32_t n : flows) benchFlows(n, rounds, no_peer, instructions);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pipeline_bench: %s\n", error.what());
    return 1;
  }
}
