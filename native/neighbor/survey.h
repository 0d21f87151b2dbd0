// Who answers for these addresses on the segment? Asked before anything is installed: a machine outside of the layer that has a VIP is the most usual
// reason why it does not work.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "../tables/vip_set.h"
#include "arp.h"

namespace rainfront {

struct SurveyAnswer {
  Address address;
  Mac mac;

  bool operator==(const SurveyAnswer&) const = default;
};

// Probes each address and listens for so long; each answer once. Nobody's cache changes: IPv4 addresses are asked for as in RFC 5227, section 2.1.1,
// IPv6 ones as duplicate address detection does (RFC 4862, section 5.4.2). Throws PortError.
std::vector<SurveyAnswer> survey(const std::string& interface, const Mac& own, std::span<const Address> addresses, std::chrono::milliseconds patience);

}  // namespace rainfront
