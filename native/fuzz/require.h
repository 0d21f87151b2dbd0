// How the fuzzer says that something does not hold: what, of which frame in which tables, and then abort(), so that libFuzzer keeps the input.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "home.h"

namespace rainfront::fuzz {

// What is being looked at; set by the target before each frame.
struct Context {
  const Input* input = nullptr;
  const Bytes* frame = nullptr;
  std::size_t number = 0;
  uint64_t now_ns = 0;
  rf_verdict verdict{};
};
inline Context context;

inline constexpr std::array kKindNames = {"leave", "pass", "drop", "relay", "reply", "punt"};

[[noreturn]] inline void broken(const char* rule) {
  const auto& [input, frame, number, now_ns, verdict] = context;
  std::fprintf(stderr, "steer_fuzz: broken: %s\n", rule);
  std::fprintf(stderr, "  frame %zu of %zu, at %.9f s, self %u, authority %u, members 0x%02x, lease %s\n", number + 1, input->frames.size(),
               static_cast<double>(now_ns) / 1e9, input->self, input->authority, input->members, input->has_lease ? "valid" : "void");
  std::fprintf(stderr, "  verdict %s, cause %s, node %u%s%s\n", verdict.kind < kKindNames.size() ? kKindNames[verdict.kind] : "?",
               verdict.cause < RF_COUNTER_COUNT ? test::kCounterNames[verdict.cause] : "?", verdict.node, verdict.from_peer ? ", from a peer" : "",
               verdict.conflict ? ", conflict" : "");
  std::fprintf(stderr, "  frame ");
  for (const uint8_t byte : *frame) std::fprintf(stderr, "%02x", byte);
  std::fprintf(stderr, "\n");
  std::abort();
}

inline void require(bool holds, const char* rule) {
  if (!holds) broken(rule);
}

}  // namespace rainfront::fuzz
