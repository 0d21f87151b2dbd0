// A timer as a file descriptor, on CLOCK_BOOTTIME: the clock of the front ports' leases, which goes on while the machine is suspended.
#pragma once

#include <sys/timerfd.h>

#include <algorithm>
#include <cstdint>

#include "../port/fd.h"

namespace rainfront::datagram {

class Timer {
 public:
  Timer() : fd_(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {}

  // Negative when there are no descriptors left.
  int fd() const { return fd_.get(); }

  // Fires at that time, at once when it has passed; 0 = never. Between hold() and release() only the last call counts, at the end.
  void set(int64_t at_ns) {
    wanted_ns_ = std::max<int64_t>(at_ns, 0);
    if (!held_) apply();
  }

  void hold() { held_ = true; }
  void release() {
    held_ = false;
    apply();
  }

  // It was seen to have fired. It does not fire again before it is set: arming it anew, or not at all, also clears its descriptor.
  void onFired() {
    wanted_ns_ = 0;
    armed_ns_ = -1;
  }

 private:
  void apply() {
    if (wanted_ns_ == armed_ns_) return;
    itimerspec at{};
    at.it_value.tv_sec = wanted_ns_ / 1'000'000'000;
    at.it_value.tv_nsec = wanted_ns_ % 1'000'000'000;
    if (::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &at, nullptr) == 0) armed_ns_ = wanted_ns_;
  }

  Fd fd_;
  int64_t wanted_ns_ = 0;
  int64_t armed_ns_ = 0;
  bool held_ = false;
};

}  // namespace rainfront::datagram
