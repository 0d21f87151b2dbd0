// Whether this node's firewall knows a connection that a flow belongs to: the kernel knows it from the moment its first packet left, translated or not.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "entry.h"

namespace rainfront {

// What a connection's original direction may be whose packets have this key, which does not say which end began.
std::vector<ConntrackTuple> waysOf(const rf_flow_key& key);

// Of each its connection, whichever of the connection's directions it is. Nothing: none is known. Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK.
std::vector<std::optional<ConntrackEntry>> findConnections(std::span<const rf_flow_key> keys);

}  // namespace rainfront
