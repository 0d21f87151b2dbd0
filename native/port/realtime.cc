#include "realtime.h"

#include <sched.h>
#include <sys/types.h>

#include <cstdlib>
#include <filesystem>

namespace rainfront {

bool enterRealtime() {
  sched_param parameters{};
  parameters.sched_priority = ::sched_get_priority_min(SCHED_RR);
  bool all = true;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const auto thread = static_cast<pid_t>(std::atoi(task.path().filename().c_str()));
    all = ::sched_setscheduler(thread, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) == 0 && all;
  }
  return all && !error;
}

}  // namespace rainfront
