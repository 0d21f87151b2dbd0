#include "spare.h"

#include <mutex>
#include <utility>

namespace rainfront {

namespace {

struct Spare {
  std::mutex mutex;
  std::unique_ptr<XdpProgram> program;
};

Spare& spare() {
  static Spare one;
  return one;
}

}  // namespace

void loadSpareXdp() {
  const std::lock_guard lock(spare().mutex);
  if (!spare().program) spare().program = std::make_unique<XdpProgram>(Mac{});
}

std::unique_ptr<XdpProgram> takeSpareXdp() {
  const std::lock_guard lock(spare().mutex);
  return std::exchange(spare().program, nullptr);
}

}  // namespace rainfront
