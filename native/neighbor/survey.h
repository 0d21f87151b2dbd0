// Who answers for these addresses on the segment? Asked before anything is installed: a machine outside of the layer that has a VIP is the most usual
// reason why it does not work.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "arp.h"

namespace rainfront {

struct SurveyAnswer {
  uint32_t address;  // host byte order
  Mac mac;
};

// Probes (RFC 5227: nobody's cache changes) each address and listens for so long; each answer once. Throws PortError.
std::vector<SurveyAnswer> surveyArp(const std::string& interface, const Mac& own, std::span<const uint32_t> addresses, std::chrono::milliseconds patience);

}  // namespace rainfront
