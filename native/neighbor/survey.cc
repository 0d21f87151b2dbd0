#include "survey.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "../port/frame_filters.h"
#include "../port/packet_socket.h"
#include "../tables/steering_tables.h"

namespace rainfront {

namespace {

constexpr Mac kBroadcast = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr Mac kAllNodes = {0x33, 0x33, 0, 0, 0, 1};
// One may be lost, or meet a switch that is still learning.
constexpr int kProbes = 2;
constexpr std::size_t kProbeLen = RF_ETH_HEADER_LEN + RF_IPV6_HEADER_LEN + RF_ND_LEN;

using Clock = std::chrono::steady_clock;
using Probe = std::array<uint8_t, kProbeLen>;

void store64(uint8_t* p, uint64_t v) {
  store32(p, static_cast<uint32_t>(v >> 32));
  store32(p + 4, static_cast<uint32_t>(v));
}

// From nobody, to the solicited-node group, without a link-layer address.
Probe duplicateProbe(const Address& target, const Mac& own) {
  Probe frame{};
  uint8_t* ip = frame.data() + RF_ETH_HEADER_LEN;
  uint8_t* nd = ip + RF_IPV6_HEADER_LEN;
  ip[0] = 0x60;
  rf_store16(ip + 4, RF_ND_LEN);
  ip[6] = RF_PROTO_ICMPV6;
  ip[7] = RF_ND_HOP_LIMIT;
  ip[24] = 0xff;
  ip[25] = 2;
  ip[35] = 1;
  store32(ip + 36, 0xff000000 | static_cast<uint32_t>(target.low));
  nd[0] = RF_ND_SOLICITATION;
  store64(nd + 8, target.high);
  store64(nd + 16, target.low);
  uint64_t sum = rf_checksum_add(RF_PROTO_ICMPV6 + RF_ND_LEN, ip + 8, 32);
  sum = rf_checksum_add(sum, nd, RF_ND_LEN);
  rf_store16(nd + 2, static_cast<uint16_t>(~rf_checksum_fold(sum)));
  frame[0] = frame[1] = 0x33;
  std::copy(ip + 36, ip + 40, frame.begin() + 2);
  std::copy(own.begin(), own.end(), frame.begin() + RF_MAC_LEN);
  rf_store16(frame.data() + 2 * RF_MAC_LEN, RF_ETHERTYPE_IPV6);
  return frame;
}

// Who shows an address as his own in this frame, if anybody does.
std::optional<SurveyAnswer> claimIn(std::span<const uint8_t> frame) {
  if (const auto arp = parseArp(frame)) return SurveyAnswer{ipv4Address(arp->sender_ip), arp->sender_mac};
  const rf_bytes whole = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  rf_ethernet eth;
  if (rf_parse_ethernet(whole, &eth) || eth.ethertype != RF_ETHERTYPE_IPV6 || !rf_has(&eth.payload, RF_IPV6_HEADER_LEN)) return std::nullopt;
  const uint8_t* ip = eth.payload.p;
  rf_nd_message message;
  if (ip[6] != RF_PROTO_ICMPV6 || ip[7] != RF_ND_HOP_LIMIT || rf_nd_read(&whole, eth.header_len, rf_load16(ip + 4), &message)) return std::nullopt;
  if (message.bytes[0] != RF_ND_ADVERTISEMENT) return std::nullopt;
  const uint8_t* target = message.bytes + 8;
  return SurveyAnswer{{RF_ETHERTYPE_IPV6, rf_load64(target), rf_load64(target + 8)}, message.has_mac ? macAt(message.mac) : macAt(eth.src)};
}

class Survey {
 public:
  Survey(const std::string& interface, const Mac& own, std::span<const Address> addresses) : socket_(openPacketSocket()), own_(own), addresses_(addresses) {
    attachFilter(socket_, neighborFilter(own));
    const int on = 1;
    setPacketOption(socket_, PACKET_IGNORE_OUTGOING, &on, sizeof on, "PACKET_IGNORE_OUTGOING");
    bindPacketSocket(socket_, interface, ETH_P_ALL);
    packet_mreq group{};
    group.mr_ifindex = static_cast<int>(interfaceIndex(interface));
    group.mr_type = PACKET_MR_MULTICAST;
    group.mr_alen = static_cast<unsigned short>(kAllNodes.size());
    std::copy(kAllNodes.begin(), kAllNodes.end(), group.mr_address);
    setPacketOption(socket_, PACKET_ADD_MEMBERSHIP, &group, sizeof group, "the group of all nodes");
  }

  void ask() const {
    for (const Address& address : addresses_) {
      if (address.family == RF_ETHERTYPE_IPV6) send(duplicateProbe(address, own_));
      else send(writeArp({kBroadcast, own_, ArpOperation::request, own_, Mac{}, 0, static_cast<uint32_t>(address.low)}));
    }
  }

  void listen(Clock::time_point until) {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd wait{socket_.get(), POLLIN, 0};
      if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) return;
      std::array<uint8_t, 256> bytes;
      const ssize_t length = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (length > 0) hear({bytes.data(), static_cast<std::size_t>(length)});
    }
  }

  std::vector<SurveyAnswer> answers;

 private:
  void send(std::span<const uint8_t> frame) const {
    if (::send(socket_.get(), frame.data(), frame.size(), 0) < 0) throw PortError("RF_PORT_SOCKET", "a probe cannot be sent", errno);
  }

  void hear(std::span<const uint8_t> frame) {
    const auto claim = claimIn(frame);
    if (!claim || std::find(addresses_.begin(), addresses_.end(), claim->address) == addresses_.end()) return;
    if (std::find(answers.begin(), answers.end(), *claim) == answers.end()) answers.push_back(*claim);
  }

  Fd socket_;
  Mac own_;
  std::span<const Address> addresses_;
};

}  // namespace

std::vector<SurveyAnswer> survey(const std::string& interface, const Mac& own, std::span<const Address> addresses, std::chrono::milliseconds patience) {
  Survey survey(interface, own, addresses);
  for (int probe = 0; probe < kProbes; probe++) {
    survey.ask();
    survey.listen(Clock::now() + patience / kProbes);
  }
  return std::move(survey.answers);
}

}  // namespace rainfront
