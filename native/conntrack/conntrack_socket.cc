#include "conntrack_socket.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <vector>

namespace rainfront {

namespace {

// A message of the kernel's is a page at most, several come in one read.
constexpr std::size_t kRead_bytes = 64 * 1024;
// Of connections that begin while the reader is put aside: some 100,000 events.
constexpr int kEvents_bytes = 32 * 1024 * 1024;
// Answers to so many requests wait in the socket.
constexpr std::size_t kPutBatch = 128;
constexpr timeval kPatience = {5, 0};

[[noreturn]] void failed(const char* what) {
  if (errno == EPERM || errno == EACCES) throw PortError("RF_NO_PRIVILEGE", std::string(what) + " needs CAP_NET_ADMIN, or root", errno);
  throw PortError("RF_CONNTRACK", what, errno);
}

Fd openSocket() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  // What has no address of its own hears no group: the kernel takes it for the sender.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (fd.get() < 0 || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) failed("opening the firewall's socket");
  // The kernel answers at once; whoever waits for it for ever would stand still for ever.
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  return fd;
}

// Every message of one read, until `on_message` says that it is enough.
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

int errorOf(std::span<const uint8_t> payload) {
  int error = 0;
  if (payload.size() >= sizeof error) std::memcpy(&error, payload.data(), sizeof error);
  return -error;
}

}  // namespace

ConntrackEvents::ConntrackEvents() : fd_(openSocket()) {
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kEvents_bytes, sizeof kEvents_bytes) != 0)
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &kEvents_bytes, sizeof kEvents_bytes);
  for (const int group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY}) {
    if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) failed("listening to the firewall's connections");
  }
}

bool ConntrackEvents::take(const OnConntrack& on_message) {
  std::vector<uint8_t> buffer(kRead_bytes);
  bool is_whole = true;
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      // The kernel drops what comes until all that is there is read, and says so once.
      is_whole = false;
      continue;
    }
    if (got < 0) return is_whole;
    (void)eachMessage({buffer.data(), static_cast<std::size_t>(got)}, [&](const nlmsghdr& head, std::span<const uint8_t> payload) {
      if (const auto message = readConntrack(head.nlmsg_type, payload)) on_message(*message);
      return true;
    });
  }
}

bool dumpConntrack(const OnConntrack& on_message) {
  const Fd fd = openSocket();
  std::vector<uint8_t> request;
  appendConntrackDump(request, 1);
  if (::send(fd.get(), request.data(), request.size(), 0) < 0) failed("asking for the firewall's connections");
  std::vector<uint8_t> buffer(kRead_bytes);
  bool is_whole = true, is_over = false;
  while (!is_over) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failed("reading the firewall's connections");
    is_over = !eachMessage({buffer.data(), static_cast<std::size_t>(got)}, [&](const nlmsghdr& head, std::span<const uint8_t> payload) {
      if ((head.nlmsg_flags & NLM_F_DUMP_INTR) != 0) is_whole = false;
      if (head.nlmsg_type == NLMSG_ERROR && errorOf(payload) != 0) {
        errno = errorOf(payload);
        failed("asking for the firewall's connections");
      }
      if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) return false;
      if (const auto message = readConntrack(head.nlmsg_type, payload)) on_message(*message);
      return true;
    });
  }
  return is_whole;
}

namespace {

// What came of each, in their order: 0 or an error number.
std::vector<int> putBatch(const Fd& fd, std::span<const ConntrackEntry> batch, Put put) {
  if (batch.empty()) return {};
  std::vector<uint8_t> requests, buffer(kRead_bytes);
  for (uint32_t i = 0; i < batch.size(); i++) appendConntrackPut(requests, batch[i], i, put);
  if (::send(fd.get(), requests.data(), requests.size(), 0) < 0) failed("telling the firewall of connections");
  std::vector<int> errors(batch.size());
  for (std::size_t answered = 0; answered < batch.size();) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failed("telling the firewall of connections");
    (void)eachMessage({buffer.data(), static_cast<std::size_t>(got)}, [&](const nlmsghdr& head, std::span<const uint8_t> payload) {
      if (head.nlmsg_type != NLMSG_ERROR || head.nlmsg_seq >= errors.size()) return true;
      answered++;
      errors[head.nlmsg_seq] = errorOf(payload);
      if (errors[head.nlmsg_seq] == EPERM) {
        errno = EPERM;
        failed("telling the firewall of connections");
      }
      return true;
    });
  }
  return errors;
}

}  // namespace

std::size_t putConntrack(std::span<const ConntrackEntry> entries, Put put) {
  const Fd fd = openSocket();
  std::size_t refused = 0;
  while (!entries.empty()) {
    const auto batch = entries.first(std::min(entries.size(), kPutBatch));
    entries = entries.subspan(batch.size());
    const std::vector<int> errors = putBatch(fd, batch, put);
    std::vector<ConntrackEntry> known;
    for (std::size_t i = 0; i < batch.size(); i++) {
      if (errors[i] == EOPNOTSUPP) known.push_back(batch[i]);
      else refused += errors[i] != 0;
    }
    for (const int error : putBatch(fd, known, Put::update)) refused += error != 0;
  }
  return refused;
}

}  // namespace rainfront
