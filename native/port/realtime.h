// Real-time scheduling for the process that runs the ring.
#pragma once

namespace rainfront {

// Makes every thread that this process has now SCHED_RR with the lowest real-time priority; threads and processes that they start later
// are not. All threads, because JavaScript waits for the helpers of its garbage collector. Nice values would not do: with autogrouping they
// count only among the processes of one session. False when the privilege is missing.
bool enterRealtime();

}  // namespace rainfront
