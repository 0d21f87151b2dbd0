#include "xdp_costs.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <array>
#include <memory>
#include <span>
#include <stdexcept>

#include "../port/clock.h"
#include "../xdp/program.h"
#include "traffic.h"

namespace rainfront::bench {

namespace {

constexpr int kRepeat = 200'000;
constexpr uint64_t kLease_ns = 3'600'000'000'000;

double cost_ns(int program, std::span<const uint8_t> frame) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.repeat = kRepeat;
  if (bpf_prog_test_run_opts(program, &options) != 0) throw std::runtime_error("the kernel does not run the XDP program");
  if (options.retval != XDP_PASS) throw std::runtime_error("the XDP program lets the packet not pass");
  return options.duration;
}

Fd programThatDoesNothing() {
  const std::array<bpf_insn, 2> insns = {{{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
                                          {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  return Fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "nothing", "GPL", insns.data(), insns.size(), nullptr));
}

std::unique_ptr<XdpProgram> programOfOneNode() {
  auto program = std::make_unique<XdpProgram>(Mac(kFrontMac));
  auto table = std::make_unique<SteeringTable>();
  table->self = 1;
  table->has_view = true;
  table->slots.fill(1);
  table->members.set(1);
  program->setTables(*table);
  program->setLease(monotonicNow_ns() + kLease_ns);
  return program;
}

}  // namespace

std::vector<XdpCost> xdpCosts(unsigned rounds, std::string& fault) {
  std::unique_ptr<XdpProgram> program;
  try {
    program = programOfOneNode();
  } catch (const PortError& error) {
    fault = error.what();
    return {};
  }
  const Fd nothing = programThatDoesNothing();
  auto traffic = std::make_unique<Traffic>(1);
  traffic->draw();
  const rf_bytes ours = traffic->batch(0)[0];
  std::array<uint8_t, kFrame_len> others;
  std::copy_n(ours.p, kFrame_len, others.begin());
  others[5] ^= 0xff;
  const std::span<const uint8_t> handled(ours.p, kFrame_len);
  std::vector<XdpCost> costs = {{"XDP program, a packet that is handled here", {}}, {"XDP program, a frame for others", {}}, {"XDP, a program that does nothing", {}}};
  for (unsigned round = 0; round < rounds; round++) {
    costs[0].ns.push_back(cost_ns(program->fd(), handled));
    costs[1].ns.push_back(cost_ns(program->fd(), others));
    costs[2].ns.push_back(cost_ns(nothing.get(), handled));
  }
  if (program->counters()[RF_COUNT_pass_frames] != uint64_t{rounds} * kRepeat) throw std::runtime_error("the XDP program did not handle the packet");
  return costs;
}

}  // namespace rainfront::bench
