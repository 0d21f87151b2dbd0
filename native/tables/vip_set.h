// All VIPs of a segment and which of them this node answers for: an immutable snapshot, looked up by the neighbor guard.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <vector>

#include "../steer/ethernet.h"
#include "../steer/vip.h"

namespace rainfront {

inline constexpr std::size_t kVipsMax = RF_VIP_COUNT_MAX;

// An address as in rf_flow_key: IPv4 in `low`, IPv6 in both.
struct Address {
  uint16_t family = RF_ETHERTYPE_IPV4;
  uint64_t high = 0;
  uint64_t low = 0;

  auto operator<=>(const Address&) const = default;
};

// `address` in host byte order.
inline Address ipv4Address(uint32_t address) { return {RF_ETHERTYPE_IPV4, 0, address}; }

struct Vip {
  Address address;
  rf_vip state{};
};

class VipSet {
 public:
  VipSet() = default;
  explicit VipSet(std::vector<Vip> vips) : vips_(std::move(vips)) {
    std::sort(vips_.begin(), vips_.end(), [](const Vip& a, const Vip& b) { return a.address < b.address; });
  }

  const Vip* find(const Address& address) const {
    auto at = std::lower_bound(vips_.begin(), vips_.end(), address, [](const Vip& vip, const Address& a) { return vip.address < a; });
    return at != vips_.end() && at->address == address ? &*at : nullptr;
  }

  const std::vector<Vip>& all() const { return vips_; }

  // IPv4 sorts before IPv6.
  bool hasIpv6() const { return !vips_.empty() && vips_.back().address.family == RF_ETHERTYPE_IPV6; }

 private:
  std::vector<Vip> vips_;
};

}  // namespace rainfront
