#include "survey.h"

#include <linux/if_ether.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "../port/packet_socket.h"

namespace rainfront {

namespace {

constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
// One may be lost, or meet a switch that is still learning.
constexpr int kProbes = 2;

using Clock = std::chrono::steady_clock;

class Survey {
 public:
  Survey(const std::string& interface, std::span<const uint32_t> addresses) : socket_(openPacketSocket()), addresses_(addresses) {
    bindPacketSocket(socket_, interface, ETH_P_ARP);
  }

  void ask(const Mac& own) const {
    for (const uint32_t address : addresses_) {
      const ArpFrame frame = writeArp({kBroadcast, own, ArpOperation::request, own, Mac{}, 0, address});
      if (::send(socket_.get(), frame.data(), frame.size(), 0) < 0) throw PortError("RF_PORT_SOCKET", "an ARP probe cannot be sent", errno);
    }
  }

  void listen(Clock::time_point until) {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd wait{socket_.get(), POLLIN, 0};
      if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) return;
      std::array<uint8_t, 128> bytes;
      const ssize_t length = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (length > 0) hear({bytes.data(), static_cast<std::size_t>(length)});
    }
  }

  std::vector<SurveyAnswer> answers;

 private:
  void hear(std::span<const uint8_t> frame) {
    const auto arp = parseArp(frame);
    if (!arp || std::find(addresses_.begin(), addresses_.end(), arp->sender_ip) == addresses_.end()) return;
    const bool is_known = std::any_of(answers.begin(), answers.end(), [&](const SurveyAnswer& one) { return one.address == arp->sender_ip && one.mac == arp->sender_mac; });
    if (!is_known) answers.push_back({arp->sender_ip, arp->sender_mac});
  }

  Fd socket_;
  std::span<const uint32_t> addresses_;
};

}  // namespace

std::vector<SurveyAnswer> surveyArp(const std::string& interface, const Mac& own, std::span<const uint32_t> addresses, std::chrono::milliseconds patience) {
  Survey survey(interface, addresses);
  for (int probe = 0; probe < kProbes; probe++) {
    survey.ask(own);
    survey.listen(Clock::now() + patience / kProbes);
  }
  return std::move(survey.answers);
}

}  // namespace rainfront
