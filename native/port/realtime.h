// Real-time scheduling for the process that runs the ring.
#pragma once

namespace rainfront {

// Makes the threads that this process has now SCHED_RR: the calling one (the ring's) with the second lowest priority, the helpers of the JavaScript
// engine and of the event loop with the next one. The ring waits for them: at the end of a garbage collection it asks again and again whether they have
// swept, and would ask for ever where it keeps them from running. They work in bursts of many milliseconds, so with `wholeProcess` all of them share one CPU, and
// the ring has the others; in a process that does other work, they are its own affair. The main thread gets the lowest priority, and only with `wholeProcess`: it may do other work, which must not keep the machine from its own;
// but where it does little, it should not be put aside by others while it holds a lock that the ring needs.
// Threads and processes that are started later are not changed. Nice values would not do: with autogrouping they count only among the processes
// of one session. False when the privilege is missing.
bool enterRealtime(bool wholeProcess);

}  // namespace rainfront
