// The kernel's connection tracking of this network namespace over nfnetlink: what changes in it, what is in it, and putting more into it.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "../port/fd.h"
#include "netlink.h"

namespace rainfront {

using OnConntrack = std::function<void(const ConntrackMessage&)>;

// Changes, as they happen.
class ConntrackEvents {
 public:
  // Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK.
  ConntrackEvents();
  int fd() const { return fd_.get(); }
  // Those that are there. False: the kernel had no room for more, and some are lost.
  [[nodiscard]] bool take(const OnConntrack& on_message);

 private:
  Fd fd_;
};

// All entries there are, as changes. Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK. False: the kernel broke it off.
[[nodiscard]] bool dumpConntrack(const OnConntrack& on_message);

// Makes them known to this kernel, or brings up to date what it knows. What came of each: 0 or an error number. Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK.
std::vector<int> putEach(std::span<const ConntrackEntry> entries, Put put = Put::create);
// How many it refused.
std::size_t putConntrack(std::span<const ConntrackEntry> entries, Put put = Put::create);

}  // namespace rainfront
