// The same kind of packet in the kernel: what the XDP program takes for it under BPF_PROG_TEST_RUN, which runs it over one frame again and again. So it
// can be asked of packets that are handled here or left, and not of relays, which change their frame.
#pragma once

#include <string>
#include <vector>

namespace rainfront::bench {

struct XdpCost {
  std::string what;
  std::vector<double> ns;  // of a packet, by round
};

// Empty where they cannot be had, and then `fault` says why.
std::vector<XdpCost> xdpCosts(unsigned rounds, std::string& fault);

}  // namespace rainfront::bench
