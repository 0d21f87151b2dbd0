// Real-time scheduling for the thread that runs the ring.
#pragma once

namespace rainfront {

// Makes the calling thread SCHED_RR with the lowest real-time priority; threads and processes that it starts are not. Nice values do not
// do: with autogrouping they count only among the processes of one session. False when the privilege is missing.
bool enterRealtime();

}  // namespace rainfront
