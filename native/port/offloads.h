// NIC features that would show us frames which are not what was on the wire. Called by the control plane at install time.
#pragma once

#include <cstdint>
#include <string>

namespace rainfront {

// Bits of a feature set.
enum OffloadBits : uint32_t {
  kReceiveMerge = 1,      // GRO: frames merged beyond the MTU
  kReceiveMergeHw = 2,    // LRO: the same in hardware
  kTransmitSegment = 4,   // TSO and GSO: frames beyond the MTU handed to a veth
  kTransmitChecksum = 8,  // transport checksums left open
  kReceiveVlan = 16,      // the outer tag taken off before an XDP program sees the frame
};

// The features of `interface` that are on now. Throws PortError when the interface does not exist.
uint32_t readOffloads(const std::string& interface);

// Turns the features in `mask` on or off as in `wanted`. Features that the driver cannot change are left; returns what is on afterwards.
uint32_t writeOffloads(const std::string& interface, uint32_t mask, uint32_t wanted);

}  // namespace rainfront
