// `live`: 64-byte frames of many flows through a gateway, from a generator in the kernel that shares its CPU with the gateway's softirq: the loop is
// closed without a window, because the next frame is made when the last ones have gone their whole way. `door`: ends them where they come in.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <numeric>
#include <vector>

#include "../arguments.h"
#include "../clock.h"
#include "../json.h"
#include "../../steer/flow.h"
#include "../subcommands.h"
#include "live.h"

extern "C" {
extern const uint8_t rf_live_object[];
extern const uint8_t rf_live_object_end[];
}

namespace testhost {

namespace {

constexpr uint32_t kFramesPerCall = 1 << 17;
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

  // Between two calls nothing is timed.
  void beginCall() const {
    const std::vector<rf_live_row> of_cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const uint32_t zero = 0;
    if (bpf_map_update_elem(map("row"), &zero, of_cpus.data(), BPF_ANY) != 0) fail("the generator's place is refused", errno);
  }

  rf_live_counts counts() const {
    std::vector<rf_live_counts> of_cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const uint32_t zero = 0;
    if (bpf_map_lookup_elem(map("live_counts"), &zero, of_cpus.data()) != 0) fail("the counts cannot be read", errno);
    rf_live_counts sum{};
    for (const rf_live_counts& one : of_cpus) {
      for (std::size_t stream = 0; stream < RF_LIVE_STREAMS; stream++) {
        sum.sent[stream] += one.sent[stream];
        sum.received[stream] += one.received[stream];
        sum.elapsed_ns[stream] += one.elapsed_ns[stream];
        sum.timed[stream] += one.timed[stream];
      }
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

void generate(const Programs& programs) {
  programs.beginCall();
  std::vector<uint8_t> frame(RF_LIVE_FRAME_LEN);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = RF_LIVE_FRAME_LEN;
  options.repeat = kFramesPerCall;
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  options.batch_size = RF_LIVE_BATCH;
  const int error = bpf_prog_test_run_opts(programs.program("rf_generate"), &options);
  if (error != 0) fail("the generator cannot be run", -error);
}

void pinTo(int64_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<int>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) fail("cannot run on CPU " + std::to_string(cpu), errno);
}

uint64_t sumOf(const uint64_t (&counts)[RF_LIVE_STREAMS]) { return std::accumulate(std::begin(counts), std::end(counts), uint64_t{0}); }

// Until nothing has come for a while.
void settle(const Programs& programs) {
  const Nanoseconds patience_until = now_ns() + kPatience_ns;
  uint64_t before = sumOf(programs.counts().received);
  for (Nanoseconds quiet_since = now_ns(); now_ns() - quiet_since < kQuiet_ns && now_ns() < patience_until;) {
    ::usleep(1000);
    const uint64_t now = sumOf(programs.counts().received);
    if (now != before) quiet_since = now_ns();
    before = now;
  }
}

struct Kind {
  const char* name;
  uint8_t protocol;
  std::vector<rf_live_step> steps;
};

constexpr uint8_t kSyn = 0x02, kAck = 0x10;
// What a flow's packets are, one after the other.
const std::vector<Kind> kKinds = {
    {"udp", RF_PROTO_UDP, {{0, 0, 0, 0}}},
    {"udp-answered", RF_PROTO_UDP, {{0, 0, 0, 0}, {1, 0, 0, 0}}},
    {"tcp-syn", RF_PROTO_TCP, {{0, kSyn, 0, 0}}},
    {"tcp-ack", RF_PROTO_TCP, {{0, kAck, 1, 1}}},
    {"tcp-handshake", RF_PROTO_TCP, {{0, kSyn, 0, 0}, {1, kSyn | kAck, 0, 1}, {0, kAck, 1, 1}}},
};

rf_live_stream streamOf(const Arguments& arguments, const std::string& prefix, uint32_t share) {
  const std::string name = arguments.optional(prefix + "kind").empty() ? "udp" : arguments.optional(prefix + "kind");
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& one) { return one.name == name; });
  if (kind == kKinds.end()) throw UsageError(prefix + "kind: " + name + " is no kind of packets");
  rf_live_stream stream{};
  stream.share = share * RF_LIVE_BATCH;
  stream.flows = static_cast<uint32_t>(arguments.number(prefix + "flows", 1000, 1, 4'000'000'000));
  stream.first = static_cast<uint32_t>(arguments.number(prefix + "first-flow", 0, 0, 4'000'000'000));
  stream.source = arguments.address("--source-ip");
  stream.protocol = kind->protocol;
  stream.steps = static_cast<uint8_t>(kind->steps.size());
  std::copy(kind->steps.begin(), kind->steps.end(), stream.step);
  return stream;
}

rf_live_settings settingsOf(const Arguments& arguments) {
  rf_live_settings settings{};
  settings.interface = indexOf(arguments.text("--interface"));
  settings.destination = arguments.address("--destination-ip");
  const Mac from = arguments.mac("--source-mac"), to = arguments.mac("--destination-mac");
  std::memcpy(settings.source_mac, from.data(), from.size());
  std::memcpy(settings.destination_mac, to.data(), to.size());
  settings.streams[0] = streamOf(arguments, "--", 1);
  settings.streams[1] = streamOf(arguments, "--beside-", static_cast<uint32_t>(arguments.number("--beside", 0, 0, 1000)));
  return settings;
}

// The frames of rows that were not timed took as long as the others.
Nanoseconds elapsedOf(const rf_live_counts& counts, std::size_t stream) {
  if (counts.timed[stream] == 0) return 0;
  return static_cast<Nanoseconds>(static_cast<double>(counts.elapsed_ns[stream]) * static_cast<double>(counts.sent[stream]) / static_cast<double>(counts.timed[stream]));
}

void print(const rf_live_counts& counts) {
  Json json;
  json.open('{').key("sent").count(sumOf(counts.sent)).key("received").count(sumOf(counts.received)).key("streams").open('[');
  Nanoseconds elapsed_ns = 0;
  for (std::size_t stream = 0; stream < RF_LIVE_STREAMS; stream++) {
    json.open('{').key("sent").count(counts.sent[stream]).key("received").count(counts.received[stream]).key("elapsed_ms").ms(elapsedOf(counts, stream)).close('}');
    elapsed_ns += elapsedOf(counts, stream);
  }
  json.close(']').key("elapsed_ms").ms(elapsed_ns).close('}');
  json.printLine();
}

}  // namespace

int live(int argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {"--interface", "--count-interface", "--source-mac", "--destination-mac", "--source-ip", "--destination-ip", "--kind", "--flows", "--first-flow", "--beside",
                             "--beside-kind", "--beside-flows", "--beside-first-flow", "--frames", "--duration-ms", "--cpu"});
  const Programs programs;
  programs.set(settingsOf(arguments));
  const Attached sink(arguments.text("--count-interface"), programs.program("rf_count"));
  pinTo(arguments.number("--cpu", 0, 0, 1023));

  const Nanoseconds duration_ns = arguments.number("--duration-ms", 5'000, 1, 600'000) * 1'000'000;
  // Or until so many have been sent.
  const auto frames_max = static_cast<uint64_t>(arguments.number("--frames", INT64_MAX, 1, INT64_MAX));
  const Nanoseconds start = now_ns();
  while (now_ns() - start < duration_ns && sumOf(programs.counts().sent) < frames_max) generate(programs);
  settle(programs);
  print(programs.counts());
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
