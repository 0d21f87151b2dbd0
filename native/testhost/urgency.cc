#include "urgency.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace testhost {

void becomeUrgent(int priority) {
  const sched_param param{.sched_priority = priority};
  (void)sched_setscheduler(0, SCHED_FIFO, &param);
  // What it gets later is locked only where there is no limit to that, for beyond a limit it would get no memory at all.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  const bool all = setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0;
  (void)mlockall(all ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT);
}

}  // namespace testhost
