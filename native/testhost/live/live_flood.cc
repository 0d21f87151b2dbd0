// `live`: 64-byte UDP frames of many flows through a gateway, from a generator in the kernel that shares its CPU with the gateway's softirq: the loop is
// closed without a window, because the next frame is made when the last ones have gone their whole way. `door`: ends them where they come in.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "../arguments.h"
#include "../clock.h"
#include "../json.h"
#include "../subcommands.h"
#include "live.h"

extern "C" {
extern const uint8_t rf_live_object[];
extern const uint8_t rf_live_object_end[];
}

namespace testhost {

namespace {

constexpr uint32_t kFramesPerCall = 1 << 15;
constexpr uint32_t kBatch = 64;
constexpr Nanoseconds kQuiet_ns = 50'000'000;
constexpr Nanoseconds kPatience_ns = 2'000'000'000;

[[noreturn]] void fail(const std::string& what, int error) { throw std::runtime_error(what + ": " + strerror(error)); }

unsigned indexOf(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) throw UsageError("no interface " + interface);
  return index;
}

class Programs {
 public:
  Programs() : object_(bpf_object__open_mem(rf_live_object, static_cast<std::size_t>(rf_live_object_end - rf_live_object), nullptr)) {
    if (!object_) fail("the generator cannot be read", errno);
    const int error = bpf_object__load(object_.get());
    if (error != 0) fail("the generator cannot be loaded", -error);
  }
  int program(const char* name) const { return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), name)); }
  int map(const char* name) const { return bpf_object__find_map_fd_by_name(object_.get(), name); }

  void set(const rf_live_settings& settings) const {
    const uint32_t zero = 0;
    if (bpf_map_update_elem(map("settings"), &zero, &settings, BPF_ANY) != 0) fail("the settings are refused", errno);
  }

  rf_live_counts counts() const {
    std::vector<rf_live_counts> of_cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const uint32_t zero = 0;
    if (bpf_map_lookup_elem(map("live_counts"), &zero, of_cpus.data()) != 0) fail("the counts cannot be read", errno);
    rf_live_counts sum{};
    for (const rf_live_counts& one : of_cpus) {
      sum.sent += one.sent;
      sum.received += one.received;
    }
    return sum;
  }

 private:
  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::unique_ptr<bpf_object, Close> object_;
};

// A program on an interface for as long as this lives.
class Attached {
 public:
  Attached(const std::string& interface, int program) : index_(static_cast<int>(indexOf(interface))) {
    const int error = bpf_xdp_attach(index_, program, XDP_FLAGS_DRV_MODE, nullptr);
    if (error != 0) fail("no XDP program on " + interface, -error);
  }
  ~Attached() { bpf_xdp_detach(index_, XDP_FLAGS_DRV_MODE, nullptr); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

 private:
  int index_;
};

void generate(int program) {
  std::vector<uint8_t> frame(RF_LIVE_FRAME_LEN);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = RF_LIVE_FRAME_LEN;
  options.repeat = kFramesPerCall;
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  options.batch_size = kBatch;
  const int error = bpf_prog_test_run_opts(program, &options);
  if (error != 0) fail("the generator cannot be run", -error);
}

void pinTo(int64_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<int>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) fail("cannot run on CPU " + std::to_string(cpu), errno);
}

// Until nothing has come for a while.
void settle(const Programs& programs) {
  const Nanoseconds patience_until = now_ns() + kPatience_ns;
  uint64_t before = programs.counts().received;
  for (Nanoseconds quiet_since = now_ns(); now_ns() - quiet_since < kQuiet_ns && now_ns() < patience_until;) {
    ::usleep(1000);
    const uint64_t now = programs.counts().received;
    if (now != before) quiet_since = now_ns();
    before = now;
  }
}

}  // namespace

int live(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--interface", "--count-interface", "--source-mac", "--destination-mac", "--source-ip", "--destination-ip", "--flows", "--duration-ms", "--cpu"});
  const Programs programs;
  rf_live_settings settings{};
  settings.interface = indexOf(arguments.text("--interface"));
  settings.flows = static_cast<uint32_t>(arguments.number("--flows", 1000, 1, 10'000'000));
  settings.source = arguments.address("--source-ip");
  settings.destination = arguments.address("--destination-ip");
  const Mac from = arguments.mac("--source-mac"), to = arguments.mac("--destination-mac");
  std::memcpy(settings.source_mac, from.data(), from.size());
  std::memcpy(settings.destination_mac, to.data(), to.size());
  programs.set(settings);
  const Attached sink(arguments.text("--count-interface"), programs.program("rf_count"));
  pinTo(arguments.number("--cpu", 0, 0, 1023));

  const Nanoseconds duration_ns = arguments.number("--duration-ms", 5'000, 1, 600'000) * 1'000'000;
  const Nanoseconds start = now_ns();
  while (now_ns() - start < duration_ns) generate(programs.program("rf_generate"));
  const Nanoseconds elapsed_ns = now_ns() - start;
  settle(programs);
  const rf_live_counts counts = programs.counts();
  Json json;
  json.open('{').key("sent").count(counts.sent).key("received").count(counts.received).key("elapsed_ms").ms(elapsed_ns).close('}');
  json.printLine();
  return 0;
}

int door(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--interface"});
  const Programs programs;
  const Attached attached(arguments.text("--interface"), programs.program("rf_door"));
  printf("ready\n");
  fflush(stdout);
  while (getchar() != EOF) continue;
  return 0;
}

}  // namespace testhost
