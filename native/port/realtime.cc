#include "realtime.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace rainfront {

namespace {

// The last one that it may use; where there is no other one, it stays as it is.
void keepOnOneCpu(pid_t thread) {
  cpu_set_t allowed;
  if (::sched_getaffinity(thread, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  int last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &allowed)) last--;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  (void)::sched_setaffinity(thread, sizeof(one), &one);
}

}  // namespace

bool enterRealtime(bool wholeProcess) {
  const int lowest = ::sched_get_priority_min(SCHED_RR);
  const pid_t self = static_cast<pid_t>(::syscall(SYS_gettid));
  bool all = true;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const auto thread = static_cast<pid_t>(std::atoi(task.path().filename().c_str()));
    if (thread == ::getpid() && !wholeProcess) continue;
    sched_param parameters{};
    const bool isMain = thread == ::getpid();
    const bool isHelper = thread != self && !isMain;
    parameters.sched_priority = lowest + (isMain ? 0 : isHelper ? 2 : 1);
    const bool hasEntered = ::sched_setscheduler(thread, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) == 0;
    // A thread that has ended since it was listed needs none.
    all = (hasEntered || errno == ESRCH) && all;
    if (isHelper && wholeProcess) keepOnOneCpu(thread);
  }
  return all && !error;
}

}  // namespace rainfront
