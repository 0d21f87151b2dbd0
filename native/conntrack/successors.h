// Who is told of a connection, and who takes it over: by the Maglev tables of views. Pure.
#pragma once

#include <array>
#include <cstring>

#include "../tables/steering_tables.h"
#include "entry.h"

namespace rainfront {

// Of one view: the authority of each flow, and who would be if this node were gone (0: nobody, or not known yet).
struct Successors {
  SteeringTable now;
  std::array<uint16_t, kMaglevSlots> without_self{};
};

inline std::size_t slotOf(const ConntrackEntry& entry, const Successors& successors) {
  const rf_flow_key key = flowKeyOf(entry.original);
  return rf_maglev_slot(rf_flow_hash(&key, &successors.now.secret));
}

// 0: nobody.
inline uint16_t authorityOf(const ConntrackEntry& entry, const Successors& successors) {
  return authorityOf(flowKeyOf(entry.original), successors.now);
}

inline bool isOurs(const ConntrackEntry& entry, const Successors& successors) { return authorityOf(entry, successors) == successors.now.self; }

// Who is told of a connection that this node handles: its authority, for that one is asked for it when this node is gone; where it is this node, who would be.
inline uint16_t successorOf(const ConntrackEntry& entry, const Successors& successors) {
  const uint16_t authority = authorityOf(entry, successors);
  return authority == successors.now.self ? successors.without_self[slotOf(entry, successors)] : authority;
}

// Who has been told, by who handled it and is gone: as of `before`, the last view in which that one was. The same on all nodes.
inline uint16_t heirOf(const ConntrackEntry& entry, uint16_t handler, const Successors& before, const Successors& now) {
  const uint16_t authority = authorityOf(entry, before);
  const bool is_there = authority != 0 && authority != handler && now.now.members.test(authority);
  return is_there ? authority : authorityOf(entry, now);
}

inline bool isSameSharing(const SteeringTable& a, const SteeringTable& b) {
  return a.has_view == b.has_view && a.slots == b.slots && a.secret.k0 == b.secret.k0 && a.secret.k1 == b.secret.k1 && std::memcmp(&a.port_ranges, &b.port_ranges, sizeof a.port_ranges) == 0;
}

}  // namespace rainfront
