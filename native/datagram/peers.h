// Addresses that datagrams go to and come from: a peer is one address on one path. Used by receiver.cc and sender.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace rainfront::datagram {

struct Peer {
  int32_t path;
  uint32_t address;  // network order
};

class Peers {
 public:
  explicit Peers(std::vector<Peer> peers) : peers_(std::move(peers)) {
    for (const Peer& peer : peers_) index_.push_back({key(peer.path, peer.address), static_cast<int32_t>(index_.size())});
    std::stable_sort(index_.begin(), index_.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
  }

  std::size_t size() const { return peers_.size(); }
  const Peer& operator[](std::size_t index) const { return peers_[index]; }

  // Index of the first peer with that address, -1 for none.
  int32_t find(int32_t path, uint32_t address) const {
    const uint64_t wanted = key(path, address);
    const auto at = std::lower_bound(index_.begin(), index_.end(), wanted, [](const Entry& entry, uint64_t k) { return entry.key < k; });
    return at != index_.end() && at->key == wanted ? at->index : -1;
  }

 private:
  struct Entry {
    uint64_t key;
    int32_t index;
  };
  static uint64_t key(int32_t path, uint32_t address) { return static_cast<uint64_t>(static_cast<uint32_t>(path)) << 32 | address; }

  std::vector<Peer> peers_;
  std::vector<Entry> index_;
};

}  // namespace rainfront::datagram
