#include "memory_lock.h"

#include <sys/mman.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace rainfront {

bool lockMappedFiles() {
  std::ifstream maps("/proc/self/maps");
  bool all = maps.is_open();
  for (std::string line; std::getline(maps, line);) {
    uintptr_t from = 0;
    uintptr_t to = 0;
    char rights[5] = {};
    uint64_t inode = 0;
    // address perms offset device inode pathname (proc_pid_maps(5))
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %" SCNu64, &from, &to, rights, &inode) != 4 || inode == 0) continue;
    // A gap between the parts of a library, which has no pages.
    if (rights[0] == '-') continue;
    // A device's memory, such as a packet ring, cannot be locked and does not go away.
    if (line.find(" /dev/") != std::string::npos || line.find(" socket:") != std::string::npos || line.find(" anon_inode:") != std::string::npos) continue;
    void* const start = reinterpret_cast<void*>(from);
    if (::mlock(start, to - from) == 0) continue;
    // ENOMEM is said of what another thread has unmapped meanwhile, and of a limit that is too low.
    if (errno != ENOMEM || ::msync(start, to - from, MS_ASYNC) == 0) all = false;
  }
  return all;
}

}  // namespace rainfront
