#include "realtime.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace rainfront {

bool enterRealtime(bool wholeProcess) {
  const int lowest = ::sched_get_priority_min(SCHED_RR);
  const pid_t self = static_cast<pid_t>(::syscall(SYS_gettid));
  bool all = true;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const auto thread = static_cast<pid_t>(std::atoi(task.path().filename().c_str()));
    if (thread == ::getpid() && !wholeProcess) continue;
    sched_param parameters{};
    const bool isHelper = thread != self && thread != ::getpid();
    parameters.sched_priority = isHelper ? lowest + 1 : lowest;
    all = ::sched_setscheduler(thread, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) == 0 && all;
  }
  return all && !error;
}

}  // namespace rainfront
