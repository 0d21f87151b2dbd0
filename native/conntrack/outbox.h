// What other nodes are still to be told of this node's connections: the last that is known of each, for the node that takes it over. Pure; bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "record.h"

namespace rainfront {

struct TupleHash {
  std::size_t operator()(const ConntrackTuple& tuple) const {
    const rf_flow_key key = flowKeyOf(tuple);
    // Not secret: what fills a bucket has been through the firewall.
    const rf_hash_key fixed = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f};
    return static_cast<std::size_t>(rf_flow_hash(&key, &fixed));
  }
};

class Outbox {
 public:
  explicit Outbox(std::size_t entries_max) : entries_max_(entries_max) {}

  // False: there is no room for one more, and nothing was kept of it.
  bool put(uint16_t node, const ConntrackMessage& message) {
    auto& waiting = waiting_[node];
    const auto found = waiting.changes.find(message.entry.original);
    if (found != waiting.changes.end()) {
      found->second = message;
      return true;
    }
    if (size_ >= entries_max_) return false;
    size_++;
    waiting.changes.emplace(message.entry.original, message);
    waiting.order.push_back(message.entry.original);
    return true;
  }

  // Records for `node`, those that have waited longest first: `bytes_max` at most.
  std::vector<uint8_t> take(uint16_t node, std::size_t bytes_max) {
    std::vector<uint8_t> bytes;
    const auto found = waiting_.find(node);
    if (found == waiting_.end()) return bytes;
    auto& [changes, order] = found->second;
    while (!order.empty() && bytes.size() + kConntrackRecordBytes_max <= bytes_max) {
      const auto change = changes.find(order.front());
      appendRecord(bytes, change->second);
      changes.erase(change);
      order.pop_front();
      size_--;
    }
    if (order.empty()) waiting_.erase(found);
    return bytes;
  }

  std::vector<uint16_t> nodes() const {
    std::vector<uint16_t> all;
    for (const auto& [node, waiting] : waiting_) all.push_back(node);
    return all;
  }

  void clear() {
    waiting_.clear();
    size_ = 0;
  }

  std::size_t size() const { return size_; }

 private:
  struct Waiting {
    std::unordered_map<ConntrackTuple, ConntrackMessage, TupleHash> changes;
    std::deque<ConntrackTuple> order;
  };

  std::size_t entries_max_;
  std::size_t size_ = 0;
  std::map<uint16_t, Waiting> waiting_;
};

}  // namespace rainfront
