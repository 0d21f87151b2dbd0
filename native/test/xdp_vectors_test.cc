// The vectors of the packet path in the XDP program, by BPF_PROG_TEST_RUN. Needs clang and libbpf at build time, and the privilege to load programs.
#include <doctest/doctest.h>

#ifndef RF_HAS_XDP

TEST_CASE("every vector of the packet path has its outcome in the XDP program") { MESSAGE("skipped: built without clang or libbpf"); }

#else

#include <linux/bpf.h>

#include <memory>

#include "../xdp/program.h"
#include "vector_lines.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

std::unique_ptr<XdpProgram> programFor(const Vector& vector) {
  XdpFlows flows({.established = 1024, .opening = 256});
  auto program = std::make_unique<XdpProgram>(nodeMac(vector.self), &flows);
  program->setTables(*vector.table());
  program->setVips(vectorVips(vector.has_ipv6));
  program->setLease(vector.leaseUntil_ns());
  for (const auto& [key, assignment] : vector.known) flows.put(key, 0, assignment, RF_FLOW_ESTABLISHED, kVectorNow_ns);
  return program;
}

// Of a frame that is not left to the kernel.
void countFrames(const VectorFrame& expected, std::vector<uint64_t>& counted) {
  counted.at(RF_COUNT_rx_frames)++;
  counted.at(RF_COUNT_rx_bytes) += expected.frame.size();
  if (expected.kind == "pass") counted.at(RF_COUNT_pass_frames)++;
  if (expected.kind == "relay") counted.at(RF_COUNT_relay_out_frames)++;
  if (expected.kind != "relay" && expected.kind != "reply") return;
  counted.at(RF_COUNT_tx_frames)++;
  counted.at(RF_COUNT_tx_bytes) += expected.out.size();
}

void check(XdpProgram& program, const VectorFrame& expected) {
  // The kernel runs no program on less than an Ethernet header.
  if (expected.frame.size() < RF_ETH_HEADER_LEN) return;
  auto counted = program.counters();
  const auto [action, frame] = program.run(expected.frame, expected.now_ns);
  if (expected.cause != "-") {
    const auto name = std::find(kCounterNames.begin(), kCounterNames.end(), expected.cause);
    counted.at(static_cast<std::size_t>(name - kCounterNames.begin()))++;
  }
  if (expected.from_peer) counted.at(RF_COUNT_relay_in_frames)++;
  if (expected.kind != "leave") countFrames(expected, counted);
  CHECK(program.counters() == counted);
  uint16_t told = 0;
  const auto on_told = [&](const rf_told_event& event) {
    told = event.peer;
    CHECK(event.assignment.node == (expected.kind == "relay" ? expected.node : program.self()));
  };
  program.takeEvents({.on_conflict = [] {}, .on_punt = [](std::span<const uint8_t>) {}, .on_told = on_told});
  CHECK(told == expected.told);
  if (expected.kind == "leave" || expected.kind == "pass") {
    CHECK(action == XDP_PASS);
    CHECK(frame == expected.frame);
  } else if (expected.kind == "relay" || expected.kind == "reply") {
    CHECK(action == XDP_TX);
    CHECK(frame == expected.out);
  } else {
    CHECK(action == XDP_DROP);
  }
}

}  // namespace

TEST_CASE("every vector of the packet path has its outcome in the XDP program") {
  const auto vectors = readVectors();
  if (!vectors) {
    MESSAGE("skipped: RF_VECTORS names no file");
    return;
  }
  for (const Vector& vector : *vectors) {
    CAPTURE(vector.name);
    std::unique_ptr<XdpProgram> program;
    try {
      program = programFor(vector);
    } catch (const PortError& error) {
      REQUIRE(error.code == "RF_NO_PRIVILEGE");
      MESSAGE("skipped: " << error.what());
      return;
    }
    for (const VectorFrame& frame : vector.frames) check(*program, frame);
  }
}

#endif
