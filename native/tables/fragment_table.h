// Where the first fragments of datagrams went, so that the later ones, which carry no ports, can follow: bounded, and oldest out first within a
// set of a few. One thread's alone.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "../steer/flow.h"

namespace rainfront {

class FragmentTable {
 public:
  static constexpr uint64_t kLife_ns = RF_FRAGMENT_LIFE_NS;

  // `sets`: a power of two; each has room for `kWays` datagrams.
  explicit FragmentTable(const rf_hash_key& secret, std::size_t sets = 2048) : secret_(secret), sets_(sets) {}

  // The node, or 0.
  uint16_t find(const rf_fragment_key& key, uint64_t now_ns) const {
    for (const Entry& entry : sets_[setOf(key)]) {
      if (entry.node != 0 && now_ns < entry.until_ns && rf_fragment_key_equal(&entry.key, &key)) return entry.node;
    }
    return 0;
  }

  void put(const rf_fragment_key& key, uint16_t node, uint64_t now_ns) {
    auto& set = sets_[setOf(key)];
    Entry* place = &set[0];
    for (Entry& entry : set) {
      if (entry.node != 0 && rf_fragment_key_equal(&entry.key, &key)) {
        place = &entry;
        break;
      }
      if (entry.until_ns < place->until_ns) place = &entry;
    }
    *place = {key, now_ns + kLife_ns, node};
  }

 private:
  static constexpr std::size_t kWays = 4;
  struct Entry {
    rf_fragment_key key{};
    uint64_t until_ns = 0;
    uint16_t node = 0;
  };

  std::size_t setOf(const rf_fragment_key& key) const { return rf_fragment_hash(&key, &secret_) & (sets_.size() - 1); }

  rf_hash_key secret_;
  std::vector<std::array<Entry, kWays>> sets_;
};

}  // namespace rainfront
