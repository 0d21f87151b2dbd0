#include "driver_features.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "../port/fd.h"

namespace rainfront {

namespace {

// Of linux/netdev.h, which came with Linux 6.3.
constexpr char kFamily[] = "netdev";
constexpr uint8_t kDevGet = 1;
constexpr uint16_t kIfindex = 1;
constexpr uint16_t kXdpFeatures = 3;
constexpr uint64_t kRunsPrograms = 1;

constexpr std::size_t kAnswer_max = 8192;

template <typename T>
void append(std::vector<uint8_t>& bytes, const T& value) {
  const auto* at = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), at, at + sizeof value);
}

// One request with one attribute; the kernel has answered when it is sent. The attributes of the answer, or nothing.
std::vector<uint8_t> ask(uint16_t family, uint8_t command, uint16_t attribute, std::span<const uint8_t> value) {
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC));
  if (socket.get() < 0) return {};
  const nlattr head = {static_cast<uint16_t>(NLA_HDRLEN + value.size()), attribute};
  std::vector<uint8_t> request;
  append(request, nlmsghdr{static_cast<uint32_t>(NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(head.nla_len)), family, NLM_F_REQUEST, 1, 0});
  append(request, genlmsghdr{command, 1, 0});
  append(request, head);
  request.insert(request.end(), value.begin(), value.end());
  request.resize(NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(head.nla_len));
  if (::send(socket.get(), request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) return {};

  std::array<uint8_t, kAnswer_max> answer;
  const ssize_t got = ::recv(socket.get(), answer.data(), answer.size(), 0);
  nlmsghdr message;
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(GENL_HDRLEN))) return {};
  std::memcpy(&message, answer.data(), sizeof message);
  if (message.nlmsg_type != family || message.nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN) || message.nlmsg_len > static_cast<std::size_t>(got)) return {};
  return {answer.begin() + NLMSG_LENGTH(GENL_HDRLEN), answer.begin() + message.nlmsg_len};
}

template <typename T>
std::optional<T> attributeOf(std::span<const uint8_t> attributes, uint16_t type) {
  while (attributes.size() >= NLA_HDRLEN) {
    nlattr head;
    std::memcpy(&head, attributes.data(), sizeof head);
    if (head.nla_len < NLA_HDRLEN || head.nla_len > attributes.size()) return std::nullopt;
    if ((head.nla_type & NLA_TYPE_MASK) == type && head.nla_len == NLA_HDRLEN + sizeof(T)) {
      T value;
      std::memcpy(&value, attributes.data() + NLA_HDRLEN, sizeof value);
      return value;
    }
    attributes = attributes.subspan(std::min<std::size_t>(NLA_ALIGN(head.nla_len), attributes.size()));
  }
  return std::nullopt;
}

// Where it is not, to ask for it by its name starts modprobe, and waits for that.
bool hasNetdevFamily() {
  utsname name{};
  int major = 0, minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 3);
}

}  // namespace

std::optional<bool> driverRunsXdp(unsigned nic_index) {
  if (!hasNetdevFamily()) return std::nullopt;
  const std::span<const uint8_t> name(reinterpret_cast<const uint8_t*>(kFamily), sizeof kFamily);
  const auto family = attributeOf<uint16_t>(ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, name), CTRL_ATTR_FAMILY_ID);
  if (!family) return std::nullopt;
  const uint32_t index = nic_index;
  const std::span<const uint8_t> which(reinterpret_cast<const uint8_t*>(&index), sizeof index);
  const auto features = attributeOf<uint64_t>(ask(*family, kDevGet, kIfindex, which), kXdpFeatures);
  if (!features) return std::nullopt;
  return (*features & kRunsPrograms) != 0;
}

}  // namespace rainfront
