// The services that have a policy of their own: an immutable snapshot, looked up where an authority assigns a new flow (see steer/service.h).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "../steer/service.h"

namespace rainfront {

class ServiceSet {
 public:
  struct Service {
    rf_service_key key;
    rf_service how;
  };

  ServiceSet() = default;
  // Of two with one key, the first counts.
  explicit ServiceSet(std::vector<Service> services) : services_(std::move(services)) {
    std::stable_sort(services_.begin(), services_.end(), [](const Service& a, const Service& b) { return wordsOf(a.key) < wordsOf(b.key); });
  }

  const rf_service* find(const rf_service_key& key) const {
    const auto at = std::lower_bound(services_.begin(), services_.end(), wordsOf(key), [](const Service& service, const Words& words) { return wordsOf(service.key) < words; });
    return at != services_.end() && wordsOf(at->key) == wordsOf(key) ? &at->how : nullptr;
  }

  bool empty() const { return services_.empty(); }
  const std::vector<Service>& all() const { return services_; }

  bool operator==(const ServiceSet& other) const {
    return std::equal(services_.begin(), services_.end(), other.services_.begin(), other.services_.end(), [](const Service& a, const Service& b) {
      return wordsOf(a.key) == wordsOf(b.key) && a.how.policy == b.how.policy && a.how.stickiness == b.how.stickiness;
    });
  }

 private:
  using Words = std::array<uint64_t, 3>;
  static Words wordsOf(const rf_service_key& key) { return {key.address[0], key.address[1], uint64_t{key.family} << 32 | uint64_t{key.port} << 16 | key.protocol}; }

  std::vector<Service> services_;
};

}  // namespace rainfront
