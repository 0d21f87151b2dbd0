// The one clock of the test host: CLOCK_MONOTONIC, which Node's process.hrtime reads too, so that the lab can line up what
// it did with what was seen here.
#pragma once

#include <time.h>

#include <cstdint>

namespace testhost {

using Nanoseconds = int64_t;

inline Nanoseconds now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Nanoseconds>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace testhost
