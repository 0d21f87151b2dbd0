// `standstill`: on one CPU, before everything else that runs on it, does nothing at fixed times. How late it comes to that is for how long that CPU
// itself stood still: taken away by the machine's host, or in a kernel that is not preempted.
#include <sched.h>
#include <sys/eventfd.h>

#include "arguments.h"
#include "metronome.h"
#include "network.h"
#include "subcommands.h"

namespace testhost {
namespace {

constexpr Nanoseconds kBeat_ns = 5'000'000;

class Nothing final : public Instrument {
 public:
  int socket() const override { return never_.get(); }
  void beat(Nanoseconds) override {}
  void readable() override {}
  void reset(Nanoseconds) override {}
  void report(Nanoseconds, Json&) override {}

 private:
  FileDescriptor never_{eventfd(0, EFD_CLOEXEC), "eventfd"};
};

}  // namespace

int standstill(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--cpu"});
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<int>(arguments.number("--cpu", 0, 0, CPU_SETSIZE - 1)), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
  Nothing nothing;
  Metronome(nothing, kBeat_ns, sched_get_priority_max(SCHED_FIFO)).run();
  return 0;
}

}  // namespace testhost
