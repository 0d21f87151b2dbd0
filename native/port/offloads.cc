#include "offloads.h"

#include <linux/ethtool.h>

#include <array>

#include "ethtool.h"

namespace rainfront {

namespace {

struct Feature {
  uint32_t bit, get, set;
};

constexpr std::array<Feature, 4> kFeatures = {{
    {kReceiveMerge, ETHTOOL_GGRO, ETHTOOL_SGRO},
    {kTransmitSegment, ETHTOOL_GTSO, ETHTOOL_STSO},
    {kTransmitSegment, ETHTOOL_GGSO, ETHTOOL_SGSO},
    {kTransmitChecksum, ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM},
}};

struct Flag {
  uint32_t bit, flag;
};

// One word for all of them.
constexpr std::array<Flag, 2> kFlags = {{
    {kReceiveMergeHw, ETH_FLAG_LRO},
    {kReceiveVlan, ETH_FLAG_RXVLAN},
}};

}  // namespace

uint32_t readOffloads(const std::string& interface) {
  Ethtool ethtool(interface);
  uint32_t on = 0;
  for (const Feature& feature : kFeatures) {
    if (ethtool.get(feature.get) != 0) on |= feature.bit;
  }
  const uint32_t flags = ethtool.get(ETHTOOL_GFLAGS);
  for (const Flag& flag : kFlags) {
    if ((flags & flag.flag) != 0) on |= flag.bit;
  }
  return on;
}

uint32_t writeOffloads(const std::string& interface, uint32_t mask, uint32_t wanted) {
  Ethtool ethtool(interface);
  for (const Feature& feature : kFeatures) {
    if ((mask & feature.bit) != 0) ethtool.set(feature.set, (wanted & feature.bit) != 0 ? 1 : 0);
  }
  for (const Flag& flag : kFlags) {
    if ((mask & flag.bit) == 0) continue;
    // Each for itself: a driver refuses the word where it cannot change one of them.
    const uint32_t flags = ethtool.get(ETHTOOL_GFLAGS);
    ethtool.set(ETHTOOL_SFLAGS, (wanted & flag.bit) != 0 ? flags | flag.flag : flags & ~flag.flag);
  }
  return readOffloads(interface);
}

}  // namespace rainfront
