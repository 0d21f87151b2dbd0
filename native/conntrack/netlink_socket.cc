#include "netlink_socket.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <string>
#include <vector>

namespace rainfront {

namespace {

constexpr timeval kPatience = {5, 0};

}  // namespace

void netlinkFailed(const char* what) {
  if (errno == EPERM || errno == EACCES) throw PortError("RF_NO_PRIVILEGE", std::string(what) + " needs CAP_NET_ADMIN, or root", errno);
  throw PortError("RF_CONNTRACK", what, errno);
}

Fd openNetfilterSocket() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  // What has no address of its own hears no group: the kernel takes it for the sender.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (fd.get() < 0 || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) netlinkFailed("opening the firewall's socket");
  // The kernel answers at once; whoever waits for it for ever would stand still for ever.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  return fd;
}

int netlinkErrorOf(std::span<const uint8_t> payload) {
  int error = 0;
  if (payload.size() >= sizeof error) std::memcpy(&error, payload.data(), sizeof error);
  return -error;
}

void exchangeRequests(const Fd& fd, std::span<const uint8_t> requests, std::size_t count,
                      const std::function<void(std::size_t, const nlmsghdr&, std::span<const uint8_t>)>& on_answer) {
  if (::send(fd.get(), requests.data(), requests.size(), 0) < 0) netlinkFailed("asking the firewall");
  std::vector<uint8_t> buffer(kNetlinkRead_bytes);
  for (std::size_t answered = 0; answered < count;) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) netlinkFailed("hearing the firewall's answers");
    (void)eachMessage({buffer.data(), static_cast<std::size_t>(got)}, [&](const nlmsghdr& head, std::span<const uint8_t> payload) {
      if (head.nlmsg_seq >= count) return true;
      answered++;
      if (head.nlmsg_type == NLMSG_ERROR && netlinkErrorOf(payload) == EPERM) {
        errno = EPERM;
        netlinkFailed("asking the firewall");
      }
      on_answer(head.nlmsg_seq, head, payload);
      return true;
    });
  }
}

}  // namespace rainfront
