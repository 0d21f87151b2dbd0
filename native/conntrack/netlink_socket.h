// A socket to the kernel's netfilter, and what goes over it: requests, and the answer to each. Called by conntrack_socket.cc and conntrack_lookup.cc.
#pragma once

#include <linux/netlink.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include "../port/fd.h"

namespace rainfront {

// A message of the kernel's is a page at most, several come in one read.
inline constexpr std::size_t kNetlinkRead_bytes = 64 * 1024;

// `errno` says why.
[[noreturn]] void netlinkFailed(const char* what);

// Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK; here and below.
Fd openNetfilterSocket();

// Every message of one read, until `on_message` says that it is enough: then false.
template <typename F>
bool eachMessage(std::span<const uint8_t> bytes, F&& on_message) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head;
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > bytes.size()) return true;
    if (!on_message(head, bytes.subspan(sizeof head, head.nlmsg_len - sizeof head))) return false;
    bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), bytes.size()));
  }
  return true;
}

// Of an NLMSG_ERROR: 0 or an error number.
int netlinkErrorOf(std::span<const uint8_t> payload);

// Sends `count` requests, whose sequence numbers are 0, 1 and so on, and waits for one answer to each: by its number, in any order.
void exchangeRequests(const Fd& fd, std::span<const uint8_t> requests, std::size_t count,
                      const std::function<void(std::size_t, const nlmsghdr&, std::span<const uint8_t>)>& on_answer);

}  // namespace rainfront
