// The pipeline's tables in user space: an immutable snapshot per view, published by the control plane and read by a port's thread.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <span>

#include "../steer/steer.h"

namespace rainfront {

inline constexpr std::size_t kMaglevSlots = 65537;

}  // namespace rainfront

struct rf_tables {
  uint16_t self = 0;
  bool has_view = false;
  rf_hash_key secret{};
  std::array<uint16_t, rainfront::kMaglevSlots> slots{};
  std::bitset<65536> members{};
  // Outlives every snapshot: the lease belongs to the port, because it is renewed far more often than the view changes.
  const std::atomic<uint64_t>* lease_until_ns = nullptr;
};

RF_INLINE uint16_t rf_tables_self(const struct rf_tables* tables) { return tables->self; }

RF_INLINE int rf_tables_is_member(const struct rf_tables* tables, uint16_t node) { return tables->members.test(node); }

RF_INLINE uint16_t rf_tables_authority(const struct rf_tables* tables, const struct rf_flow_key* key) {
  if (!tables->has_view) return 0;
  return tables->slots[rf_flow_hash(key, &tables->secret) % rainfront::kMaglevSlots];
}

RF_INLINE uint64_t rf_tables_lease_until_ns(const struct rf_tables* tables) {
  return tables->lease_until_ns->load(std::memory_order_acquire);
}
