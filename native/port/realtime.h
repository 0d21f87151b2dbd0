// Real-time scheduling for the process that runs the ring.
#pragma once

namespace rainfront {

// Makes every thread that this process has now, but the main one, SCHED_RR: the calling one with the lowest priority but one, the others
// with the lowest, so that one node's compiler never makes another node's ring wait; threads and processes that they start later are not. All threads, because the ring's JavaScript waits for the helpers of its garbage collector; not the main one, which
// must not keep the ring from its turn. Nice values would not do: with autogrouping they count only among the processes of one session. False
// when the privilege is missing.
bool enterRealtime();

}  // namespace rainfront
