// Messages of nfnetlink's conntrack subsystem (linux/netfilter/nfnetlink_conntrack.h) as bytes: pure, no sockets. What comes in is the kernel's, and read with its
// bounds all the same. Called by conntrack_socket.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "entry.h"

namespace rainfront {

enum class ConntrackEvent : uint8_t { changed, ended };

struct ConntrackMessage {
  ConntrackEvent event;
  ConntrackEntry entry;
};

// One message without its netlink header: `type` is nlmsg_type. Nothing: another subsystem's, of a protocol that has no tuple here, in a zone (which only that
// node's rules know), or of TCP without its state, which has not changed then.
std::optional<ConntrackMessage> readConntrack(uint16_t type, std::span<const uint8_t> payload);

// Another connection announced it, as those of FTP do: which one, a kernel that is given its entry does not know.
bool isExpected(const ConntrackEntry& entry);

enum class Put : uint8_t {
  create,  // makes it known, or brings what is known up to date, unless that is translated,
  update,  // which this does: of what is not known it makes nothing
};

// Appends a request. TCP windows are not judged from then on: nobody knows where they are.
void appendConntrackPut(std::vector<uint8_t>& out, const ConntrackEntry& entry, uint32_t sequence, Put put = Put::create);

// Appends the request for the connection that has this as one of its two directions.
void appendConntrackGet(std::vector<uint8_t>& out, const ConntrackTuple& tuple, uint32_t sequence);

// Appends the request for all entries.
void appendConntrackDump(std::vector<uint8_t>& out, uint32_t sequence);

}  // namespace rainfront
