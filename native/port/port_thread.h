// What the threads of all ports have in common, whichever way frames go. Used by front_port.cc and xdp/xdp_port.cc.
#pragma once

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace rainfront {

// How long setVips waits for whoever deals with a frame by the VIPs as they were before.
inline constexpr uint64_t kBarrierPatience_ns = 20'000'000;
// Below the ring's thread, whose token must not be late, and above ordinary work: this is the machine's packet path.
inline constexpr int kThreadNice = -10;
inline constexpr int kIdle_ms_max = 1000;

// Of the calling thread alone; without the privilege its priority stays as it is.
inline void becomePortThread() {
  ::pthread_setname_np(::pthread_self(), "rf-port");
  (void)::setpriority(PRIO_PROCESS, 0, kThreadNice);
}

// How long a thread that has nothing else to do may sleep before what is due at `due_ns`. Who makes something due earlier wakes it.
inline int sleepUntilDue_ms(std::optional<uint64_t> due_ns, uint64_t now_ns) {
  if (!due_ns) return kIdle_ms_max;
  if (*due_ns <= now_ns) return 1;
  return static_cast<int>(std::min<uint64_t>((*due_ns - now_ns) / 1'000'000 + 1, kIdle_ms_max));
}

}  // namespace rainfront
