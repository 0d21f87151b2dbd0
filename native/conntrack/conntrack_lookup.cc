#include "conntrack_lookup.h"

#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <utility>

#include "../steer/icmp.h"
#include "netlink.h"
#include "netlink_socket.h"

namespace rainfront {

namespace {

// Answers to so many questions wait in the socket.
constexpr std::size_t kBatch = 32;
constexpr uint8_t kEchoRequest = 8, kEchoReply = 0, kEchoRequest6 = 128, kEchoReply6 = 129;

struct Asked {
  std::size_t key;
  ConntrackTuple way;
};

}  // namespace

std::vector<ConntrackTuple> waysOf(const rf_flow_key& key) {
  const Address low{key.family, key.addr_low[0], key.addr_low[1]}, high{key.family, key.addr_high[0], key.addr_high[1]};
  const auto port_low = static_cast<uint16_t>(key.ports >> 16), port_high = static_cast<uint16_t>(key.ports);
  const auto protocol = static_cast<uint8_t>(key.protocol);
  const ConntrackTuple up{low, high, port_low, port_high, 0, protocol}, down{high, low, port_high, port_low, 0, protocol};
  const bool is_icmp = protocol == (key.family == RF_ETHERTYPE_IPV4 ? RF_PROTO_ICMP : RF_PROTO_ICMPV6);
  if (!is_icmp) return {up, down};
  std::vector<ConntrackTuple> ways;
  const bool is_ipv4 = key.family == RF_ETHERTYPE_IPV4;
  for (const uint8_t type : is_ipv4 ? std::array{kEchoRequest, kEchoReply} : std::array{kEchoRequest6, kEchoReply6}) {
    for (ConntrackTuple way : {up, down}) {
      way.icmp = static_cast<uint16_t>(type << 8);
      ways.push_back(way);
    }
  }
  return ways;
}

std::vector<std::optional<ConntrackEntry>> findConnections(std::span<const rf_flow_key> keys) {
  const Fd fd = openNetfilterSocket();
  std::vector<std::optional<ConntrackEntry>> found(keys.size());
  std::vector<Asked> all;
  for (std::size_t i = 0; i < keys.size(); i++) {
    for (const ConntrackTuple& way : waysOf(keys[i])) all.push_back({i, way});
  }
  for (std::span<const Asked> rest = all; !rest.empty();) {
    const auto batch = rest.first(std::min(rest.size(), kBatch));
    rest = rest.subspan(batch.size());
    std::vector<uint8_t> requests;
    for (uint32_t i = 0; i < batch.size(); i++) appendConntrackGet(requests, batch[i].way, i);
    exchangeRequests(fd, requests, batch.size(), [&](std::size_t at, const nlmsghdr& head, std::span<const uint8_t> payload) {
      if (const auto message = readConntrack(head.nlmsg_type, payload)) found[batch[at].key] = message->entry;
    });
  }
  return found;
}

}  // namespace rainfront
