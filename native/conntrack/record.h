// Entries as nodes tell each other of them, one after the other: 46 bytes of a TCP connection over IPv4. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "netlink.h"

namespace rainfront {

inline constexpr std::size_t kConntrackRecordBytes_max = 94;

void appendRecord(std::vector<uint8_t>& out, const ConntrackMessage& message);

// Takes the first record off `bytes`. Nothing: it is cut off, or of no kind that this version knows; what follows cannot be read then.
std::optional<ConntrackMessage> takeRecord(std::span<const uint8_t>& bytes);

}  // namespace rainfront
