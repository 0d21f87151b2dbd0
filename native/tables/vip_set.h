// All VIPs of a segment and which of them this node answers for: an immutable snapshot, looked up by the neighbor guard.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace rainfront {

inline constexpr std::size_t kVipsMax = 1024;

struct Vip {
  uint32_t address = 0;  // host byte order
  bool owned = false;
  uint64_t from_ns = 0;  // when owned: not before this time (the last owner's lease has run out by then)
};

class VipSet {
 public:
  VipSet() = default;
  explicit VipSet(std::vector<Vip> vips) : vips_(std::move(vips)) {
    std::sort(vips_.begin(), vips_.end(), [](const Vip& a, const Vip& b) { return a.address < b.address; });
  }

  const Vip* find(uint32_t address) const {
    auto at = std::lower_bound(vips_.begin(), vips_.end(), address, [](const Vip& vip, uint32_t a) { return vip.address < a; });
    return at != vips_.end() && at->address == address ? &*at : nullptr;
  }

  const std::vector<Vip>& all() const { return vips_; }

 private:
  std::vector<Vip> vips_;
};

}  // namespace rainfront
