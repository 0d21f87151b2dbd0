// The program of the process that runs the ring, kept from going away.
#pragma once

namespace rainfront {

// The files that this process has mapped (its program, its libraries) are read into memory, and stay there. A kernel that takes cold pages back, under
// pressure or of its own accord where proactive reclaim is on, reads them again from the disk when they are next touched, and the ring's thread waits for
// that, whatever its priority: most of all where a takeover runs what nothing else does. Processes share these pages. Other memory is left alone: the
// JavaScript engine gives its own back by ways that locked memory refuses (madvise(2)), and aborts when it cannot. False when the privilege is missing
// (CAP_IPC_LOCK, or RLIMIT_MEMLOCK is too low).
bool lockMappedFiles();

}  // namespace rainfront
