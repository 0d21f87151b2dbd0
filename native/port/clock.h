// The clock of leases: CLOCK_BOOTTIME, which goes on while the machine is suspended, so that a lease does not survive a sleep.
#pragma once

#include <time.h>

#include <cstdint>

namespace rainfront {

inline uint64_t monotonicNow_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ull + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace rainfront
