// What other nodes have told of their connections, which this node takes over when they are gone. Pure; bounded.
#pragma once

#include <unordered_map>
#include <vector>

#include "outbox.h"

namespace rainfront {

class Replicas {
 public:
  explicit Replicas(std::size_t entries_max) : entries_max_(entries_max) {}

  struct Received {
    std::size_t kept = 0, ended = 0;
    std::size_t full = 0;       // no room
    std::size_t malformed = 0;  // one at most: what follows it is not read
  };

  Received receive(std::span<const uint8_t> records) {
    Received received;
    while (!records.empty()) {
      const auto message = takeRecord(records);
      if (!message) {
        received.malformed++;
        break;
      }
      const ConntrackTuple& name = message->entry.original;
      if (message->event == ConntrackEvent::ended) {
        received.ended += entries_.erase(name);
      } else if (entries_.size() >= entries_max_ && !entries_.contains(name)) {
        received.full++;
      } else {
        entries_.insert_or_assign(name, Replica{message->entry, telling_});
        received.kept++;
      }
    }
    return received;
  }

  // Takes out all that `isOurs` says of.
  template <typename F>
  std::vector<ConntrackEntry> takeIf(F&& isOurs) {
    std::vector<ConntrackEntry> taken;
    for (auto at = entries_.begin(); at != entries_.end();) {
      if (!isOurs(at->second.entry)) {
        at++;
        continue;
      }
      taken.push_back(at->second.entry);
      at = entries_.erase(at);
    }
    return taken;
  }

  // Everybody tells everything anew from now on.
  void toldAnew() { telling_++; }

  // Forgets what was told before that and not since: others are told of it now, or it has ended and nobody could say so.
  void dropUntold() {
    std::erase_if(entries_, [this](const auto& named) { return named.second.telling != telling_; });
  }

  std::size_t size() const { return entries_.size(); }

 private:
  struct Replica {
    ConntrackEntry entry;
    uint64_t telling;
  };

  std::size_t entries_max_;
  uint64_t telling_ = 0;
  std::unordered_map<ConntrackTuple, Replica, TupleHash> entries_;
};

}  // namespace rainfront
