// Real-time scheduling for the process that runs the ring.
#pragma once

namespace rainfront {

// Makes the threads that this process has now SCHED_RR: the calling one (the ring's) with the lowest priority but one, so that one node's
// compiler never makes another node's ring wait; the others with the lowest, because the ring's JavaScript waits for the helpers of its
// garbage collector. The main thread only with `wholeProcess`: it may do other work, which must not keep the machine from its own; but where
// it does little, it should not be put aside while it holds a lock that the ring needs. Threads and processes that are started later are not
// changed. Nice values would not do: with autogrouping they count only among the processes of one session. False when the privilege is
// missing.
bool enterRealtime(bool wholeProcess);

}  // namespace rainfront
