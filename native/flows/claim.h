// What a node says of a flow that it may handle, when its authority asks all. Pure; called by flow_exchange.cc.
#pragma once

#include <optional>

#include "../tables/flow_store.h"

namespace rainfront {

// A flow's connection, as this node's firewall knows it; not one that is over.
struct FirewallConnection {
  rf_flow_key first;   // of its first packets,
  rf_flow_key answer;  // and of those of the other direction, which is another key where it is translated
  bool is_answered;    // packets of both directions have come by here,
  bool is_assured;     // and the first end has spoken again
};

// What is known of the two flows of a connection, of nodes that have been members since; of one that is not translated both are the same.
struct ClaimedFlows {
  std::optional<SeenFlow> asked;
  std::optional<SeenFlow> other;
};

// How the node would be remembered for the flow; nothing: it does not handle it. RF_ASSIGNED_GUESSED: somebody else may know better, for the firewall alone knows the connection, or does
// not know it, or the packet path has not seen it for long: another one may have begun between the same ends, elsewhere. Then `count` says for how long it was not seen,
// 127 where it never was, and 128 more where the firewall was asked and does not know it.
// `is_asked`: the firewall was, and could say.
std::optional<rf_assignment> claimOf(const rf_flow_key& key, const ClaimedFlows& known, const std::optional<FirewallConnection>& connection, bool is_asked, uint16_t self, uint32_t epoch);

// Of a guess: the firewall does not say otherwise.
bool isOfFirewall(const rf_assignment& guess);

// Of two guesses.
bool isLikelier(const rf_assignment& said, const rf_assignment& known);

}  // namespace rainfront
