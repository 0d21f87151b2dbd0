#include "rte_hash_peer.h"

#include <stdexcept>

#ifdef RF_HAS_DPDK

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_jhash.h>
#include <sched.h>

#include <array>
#include <vector>

namespace rainfront::bench {

std::string startPeer(unsigned memory_MB) {
  // It keeps this thread where it is now, on one processor.
  const std::string here = "0@" + std::to_string(sched_getcpu());
  std::vector<std::string> words = {"pipeline_bench", "--no-huge",      "-m",            std::to_string(memory_MB), "--no-pci", "--no-shconf",
                                    "--no-telemetry", "--iova-mode=va", "--log-level=1", "--lcores",                here};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) return std::string("rte_eal_init: ") + rte_strerror(rte_errno);
  return "";
}

RteHashPeer::RteHashPeer(uint32_t capacity, std::size_t key_len, PeerHash hash) : key_len_(key_len) {
  static unsigned made = 0;
  const std::string name = "peer" + std::to_string(made++);
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  parameters.entries = capacity;
  parameters.key_len = static_cast<uint32_t>(key_len);
  parameters.hash_func = hash == PeerHash::kCrc ? rte_hash_crc : rte_jhash;
  parameters.hash_func_init_val = 0x5eed;
  table_ = rte_hash_create(&parameters);
  if (table_ == nullptr) throw std::runtime_error(std::string("rte_hash_create: ") + rte_strerror(rte_errno));
}

RteHashPeer::~RteHashPeer() { rte_hash_free(static_cast<rte_hash*>(table_)); }

void RteHashPeer::add(const void* key, uint16_t node) {
  if (rte_hash_add_key_data(static_cast<rte_hash*>(table_), key, reinterpret_cast<void*>(uintptr_t{node})) < 0) throw std::runtime_error("rte_hash is full");
}

uint64_t RteHashPeer::find64(const uint8_t* keys) const {
  std::array<const void*, RTE_HASH_LOOKUP_BULK_MAX> each;
  std::array<void*, RTE_HASH_LOOKUP_BULK_MAX> data;
  for (std::size_t i = 0; i < each.size(); i++) each[i] = keys + i * key_len_;
  uint64_t hits = 0;
  rte_hash_lookup_bulk_data(static_cast<rte_hash*>(table_), each.data(), static_cast<uint32_t>(each.size()), &hits, data.data());
  uint64_t sum = 0;
  for (std::size_t i = 0; i < each.size(); i++) sum += (hits >> i & 1) != 0 ? reinterpret_cast<uintptr_t>(data[i]) : 0;
  return sum;
}

}  // namespace rainfront::bench

#else

namespace rainfront::bench {

std::string startPeer(unsigned) { return "built without DPDK (libdpdk-dev)"; }
RteHashPeer::RteHashPeer(uint32_t, std::size_t key_len, PeerHash) : key_len_(key_len) { throw std::logic_error("no DPDK"); }
RteHashPeer::~RteHashPeer() = default;
void RteHashPeer::add(const void*, uint16_t) {}
uint64_t RteHashPeer::find64(const uint8_t*) const { return 0; }

}  // namespace rainfront::bench

#endif
