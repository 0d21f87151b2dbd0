// The vectors of the packet path in the XDP program, by BPF_PROG_TEST_RUN. Needs clang and libbpf at build time, and the privilege to load programs.
#include <doctest/doctest.h>

#ifndef RF_BPF_OBJECT

TEST_CASE("every vector of the packet path has its outcome in the XDP program") { MESSAGE("skipped: built without clang or libbpf"); }

#else

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "../steer/flow.h"
#include "../steer/vip.h"
#include "../xdp/layout.h"
#include "vector_lines.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr Mac kNic = {0x52, 0x54, 0, 0x77, 0x77, 0x77};

struct Closer {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};

class Program {
 public:
  // `problem` says why there is none.
  static std::unique_ptr<Program> load(std::string& problem) {
    libbpf_set_print(nullptr);
    std::unique_ptr<bpf_object, Closer> object(bpf_object__open_file(RF_BPF_OBJECT, nullptr));
    if (object == nullptr) throw std::runtime_error("the object cannot be opened");
    const int error = bpf_object__load(object.get());
    if (error == -EPERM || error == -EACCES) problem = "no privilege to load programs";
    if (error != 0 && problem.empty()) throw std::runtime_error(std::string("the program does not load: ") + std::strerror(-error));
    if (error != 0) return nullptr;
    return std::unique_ptr<Program>(new Program(std::move(object)));
  }

  void set(const Vector& vector) {
    state_ = {};
    state_.lease_until_ns = vector.leaseUntil_ns();
    state_.secret = kVectorSecret;
    state_.self = vector.self;
    state_.has_view = vector.hasView();
    const Mac front = nodeMac(vector.self);
    std::memcpy(state_.front_mac, front.data(), front.size());
    std::memcpy(state_.nic_mac, kNic.data(), kNic.size());
    for (uint32_t node = 0; node < 16; node++) put("members", node, static_cast<uint8_t>(0));
    for (const uint32_t member : vector.members) put("members", member, static_cast<uint8_t>(1));
    if (vector.authority != authority_) {
      for (uint32_t slot = 0; slot < kVectorSlots; slot++) put("maglev", slot, vector.nodeOf(slot));
      authority_ = vector.authority;
    }
    for (const auto& vip : vectorVips()) put("vips", rf_vip_key{{vip.high, vip.low}, vip.family, {}}, rf_vip{vip.from_ns, vip.owned});
    forgetFragments();
  }

  struct Outcome {
    int action;
    Bytes frame;
  };

  Outcome run(const VectorFrame& given) {
    state_.clock_ns = given.now_ns;
    put("port_state", uint32_t{0}, state_);
    Bytes out(given.frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = given.frame.data(), .data_out = out.data(), .data_size_in = static_cast<uint32_t>(given.frame.size()),
                .data_size_out = static_cast<uint32_t>(out.size()), .repeat = 1);
    const int error = bpf_prog_test_run_opts(bpf_program__fd(bpf_object__find_program_by_name(object_.get(), "rf_xdp")), &options);
    if (error != 0) throw std::runtime_error(std::string("the program does not run: ") + std::strerror(-error));
    out.resize(options.data_size_out);
    return {static_cast<int>(options.retval), out};
  }

  // Of all CPUs.
  uint64_t counter(uint32_t index) {
    std::vector<uint64_t> values(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    if (bpf_map_lookup_elem(map("counters"), &index, values.data()) != 0) throw std::runtime_error("no counter");
    uint64_t sum = 0;
    for (const uint64_t value : values) sum += value;
    return sum;
  }

 private:
  explicit Program(std::unique_ptr<bpf_object, Closer> object) : object_(std::move(object)) {}

  int map(const char* name) const { return bpf_object__find_map_fd_by_name(object_.get(), name); }

  template <typename Key, typename Value>
  void put(const char* name, const Key& key, const Value& value) {
    if (bpf_map_update_elem(map(name), &key, &value, BPF_ANY) != 0) throw std::runtime_error(std::string(name) + " takes no entry");
  }

  void forgetFragments() {
    rf_fragment_key key{};
    while (bpf_map_get_next_key(map("fragments"), nullptr, &key) == 0) bpf_map_delete_elem(map("fragments"), &key);
  }

  std::unique_ptr<bpf_object, Closer> object_;
  rf_port_state state_{};
  std::string authority_;
};

uint32_t counterOf(const std::string& name) {
  for (uint32_t index = 0; index < RF_COUNTER_COUNT; index++) {
    if (name == kCounterNames[index]) return index;
  }
  throw std::runtime_error("no such counter: " + name);
}

Bytes withDestination(Bytes frame, const Mac& mac) {
  std::copy(mac.begin(), mac.end(), frame.begin());
  return frame;
}

void check(Program& program, const VectorFrame& expected) {
  // The kernel runs no program on less than an Ethernet header.
  if (expected.frame.size() < RF_ETH_HEADER_LEN) return;
  const uint32_t cause = expected.cause == "-" ? 0 : counterOf(expected.cause);
  const uint64_t counted = program.counter(cause);
  const uint64_t relayed = program.counter(RF_COUNT_relay_in_frames);
  const auto [action, frame] = program.run(expected);
  if (cause != 0) CHECK(program.counter(cause) == counted + 1);
  CHECK(program.counter(RF_COUNT_relay_in_frames) == relayed + (expected.from_peer ? 1 : 0));
  if (expected.kind == "leave" || expected.kind == "pass") {
    CHECK(action == XDP_PASS);
    CHECK(frame == (expected.kind == "pass" ? withDestination(expected.frame, kNic) : expected.frame));
  } else if (expected.kind == "relay" || expected.kind == "reply") {
    CHECK(action == XDP_REDIRECT);
    CHECK(frame == expected.out);
  } else {
    CHECK(action == XDP_DROP);
  }
}

}  // namespace

TEST_CASE("every vector of the packet path has its outcome in the XDP program") {
  const auto vectors = readVectors();
  std::string problem = vectors ? "" : "RF_VECTORS names no file";
  const auto program = vectors ? Program::load(problem) : nullptr;
  if (!problem.empty()) {
    MESSAGE("skipped: " << problem);
    return;
  }
  for (const Vector& vector : *vectors) {
    CAPTURE(vector.name);
    program->set(vector);
    for (const VectorFrame& frame : vector.frames) check(*program, frame);
  }
}

#endif
