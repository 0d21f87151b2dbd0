// DPDK's rte_hash as a yardstick for the flow table: the same keys, looked up 64 at once. rte_hash_peer.cc is built with DPDK's headers, or says why it has none.
#pragma once

#include <cstdint>
#include <string>

namespace rainfront::bench {

enum class PeerHash { kCrc, kJhash };

// Once per process. Empty, or why there is no peer. `memory_MB`: all that it may take.
std::string startPeer(unsigned memory_MB);

class RteHashPeer {
 public:
  RteHashPeer(uint32_t capacity, std::size_t key_len, PeerHash hash);
  ~RteHashPeer();
  RteHashPeer(const RteHashPeer&) = delete;
  RteHashPeer& operator=(const RteHashPeer&) = delete;

  void add(const void* key, uint16_t node);
  // 64 keys that lie one behind the other; the sum of their nodes.
  uint64_t find64(const uint8_t* keys) const;

 private:
  void* table_ = nullptr;
  std::size_t key_len_;
};

}  // namespace rainfront::bench
