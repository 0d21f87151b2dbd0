// What the XDP program asks of the machine that it is loaded on: room below the verifier's limit, and no BTF of the kernel.
#include <doctest/doctest.h>

#ifndef RF_HAS_XDP

TEST_CASE("the XDP program has room below the verifier's limit") { MESSAGE("skipped: built without clang or libbpf"); }
TEST_CASE("the XDP program is loaded where there is no BTF of the kernel") { MESSAGE("skipped: built without clang or libbpf"); }

#else

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "../xdp/program.h"

using namespace rainfront;

namespace {

constexpr Mac kMac = {2, 0, 0, 0, 0, 1};
// BPF_COMPLEXITY_LIMIT_INSNS of kernels from 5.2 on. Half of it is left for verifiers that look at more than this one does.
constexpr uint32_t kVerifierLimit = 1'000'000;

std::unique_ptr<XdpProgram> load() {
  try {
    return std::make_unique<XdpProgram>(kMac);
  } catch (const PortError& error) {
    REQUIRE(error.code == "RF_NO_PRIVILEGE");
    MESSAGE("skipped: " << error.what());
    return nullptr;
  }
}

enum Outcome { kLoaded, kRefused, kNotHidden };

// In a process with a mount namespace of its own, where /sys/kernel is empty.
Outcome loadAlone() noexcept {
  const bool is_hidden = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("none", "/sys/kernel", "tmpfs", 0, nullptr) == 0 && ::access("/sys/kernel/btf/vmlinux", F_OK) != 0;
  if (!is_hidden) return kNotHidden;
  try {
    const XdpProgram program(kMac);
    return kLoaded;
  } catch (...) {
    return kRefused;
  }
}

}  // namespace

TEST_CASE("the XDP program has room below the verifier's limit") {
  const auto program = load();
  if (!program) return;
  const uint32_t looked_at = program->verifiedInstructions();
  if (looked_at == 0) {
    MESSAGE("skipped: this kernel does not tell what its verifier did");
    return;
  }
  MESSAGE("the verifier looked at " << looked_at << " instructions of " << kVerifierLimit);
  CHECK(looked_at < kVerifierLimit / 2);
}

TEST_CASE("the XDP program is loaded where there is no BTF of the kernel") {
  if (!load()) return;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(loadAlone());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotHidden) {
    MESSAGE("skipped: /sys/kernel cannot be hidden here");
    return;
  }
  CHECK(WEXITSTATUS(status) == kLoaded);
}

#endif
