// What other nodes have told of their connections, which this node takes over when they are gone. Pure; bounded.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "outbox.h"

namespace rainfront {

class Replicas {
 public:
  explicit Replicas(std::size_t entries_max) : entries_max_(entries_max) {}

  // By whom, in which view (0 where flows are not assigned), and when.
  struct Told {
    uint16_t from;
    uint32_t epoch;
    uint64_t at_ns;
  };

  struct Replica {
    ConntrackEntry entry;
    Told told;  // last
  };

  struct Received {
    std::size_t kept = 0, ended = 0;
    std::size_t full = 0;       // no room
    std::size_t malformed = 0;  // one at most: what follows it is not read
  };

  // What `isOurs` says of goes into `ours`, and is not kept.
  template <typename F>
  Received receive(const Told& told, std::span<const uint8_t> records, F&& isOurs, std::vector<ConntrackEntry>& ours) {
    Received received;
    while (!records.empty()) {
      const auto message = takeRecord(records);
      if (!message) {
        received.malformed++;
        break;
      }
      const ConntrackEntry& entry = message->entry;
      const bool is_end = message->event == ConntrackEvent::ended || isOver(entry);
      if (is_end && isAnothers(entry, told.from)) continue;
      if (message->event == ConntrackEvent::ended) {
        received.ended += entries_.erase(entry.original);
      } else if (isOurs(entry)) {
        entries_.erase(entry.original);
        ours.push_back(entry);
      } else if (entries_.size() >= entries_max_ && !entries_.contains(entry.original)) {
        received.full++;
      } else {
        entries_.insert_or_assign(entry.original, Replica{entry, told});
        received.kept++;
      }
    }
    return received;
  }

  // Takes out all that `isOurs` says of, of an entry and who told it last.
  template <typename F>
  std::vector<ConntrackEntry> takeIf(F&& isOurs) {
    std::vector<ConntrackEntry> taken;
    std::erase_if(entries_, [&](const auto& named) {
      const ConntrackEntry& entry = named.second.entry;
      if (!isOurs(entry, named.second.told)) return false;
      taken.push_back(entry);
      return true;
    });
    return taken;
  }

  // Takes out the one that began like this, if `isOurs` says so of it.
  template <typename F>
  std::optional<ConntrackEntry> takeOneIf(const ConntrackTuple& original, F&& isOurs) {
    const auto found = entries_.find(original);
    if (found == entries_.end() || !isOurs(found->second.entry, found->second.told)) return std::nullopt;
    return std::move(entries_.extract(found).mapped().entry);
  }

  // Forgets what nobody has told since then: others are told of it now, or it has ended and nobody could say so.
  void dropToldBefore(uint64_t then_ns) {
    std::erase_if(entries_, [then_ns](const auto& named) { return named.second.told.at_ns < then_ns; });
  }

  // Of the connection that began like this.
  std::optional<Replica> find(const ConntrackTuple& original) const {
    const auto found = entries_.find(original);
    return found == entries_.end() ? std::nullopt : std::optional(found->second);
  }

  void clear() { entries_.clear(); }
  std::size_t size() const { return entries_.size(); }

 private:
  // Another node has told of a later one between the same ends.
  bool isAnothers(const ConntrackEntry& entry, uint16_t from) const {
    const auto found = entries_.find(entry.original);
    return found != entries_.end() && found->second.told.from != from;
  }

  std::size_t entries_max_;
  std::unordered_map<ConntrackTuple, Replica, TupleHash> entries_;
};

}  // namespace rainfront
