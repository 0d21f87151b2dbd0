// Not being kept waiting, by other processes or by the disk.
#pragma once

namespace testhost {

// SCHED_FIFO with this priority, and all memory locked. What the system refuses (a user namespace) is left out: a process that measures tells how
// late it was.
void becomeUrgent(int priority);

}  // namespace testhost
