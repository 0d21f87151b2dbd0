#include "conntrack_socket.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "netlink_socket.h"

namespace rainfront {

namespace {

// Of connections that begin while the reader is put aside: some 100,000 events.
constexpr int kEvents_bytes = 32 * 1024 * 1024;
// Answers to so many requests wait in the socket.
constexpr std::size_t kPutBatch = 128;

}  // namespace

ConntrackEvents::ConntrackEvents() : fd_(openNetfilterSocket()) {
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kEvents_bytes, sizeof kEvents_bytes) != 0)
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &kEvents_bytes, sizeof kEvents_bytes);
  for (const int group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY}) {
    if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) netlinkFailed("listening to the firewall's connections");
  }
}

bool ConntrackEvents::take(const OnConntrack& on_message) {
  std::vector<uint8_t> buffer(kNetlinkRead_bytes);
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
      if (const auto message = readConntrack(head.nlmsg_type, payload); message && !isExpected(message->entry)) on_message(*message);
      return true;
    });
  }
}

bool dumpConntrack(const OnConntrack& on_message) {
  const Fd fd = openNetfilterSocket();
  std::vector<uint8_t> request;
  appendConntrackDump(request, 1);
  if (::send(fd.get(), request.data(), request.size(), 0) < 0) netlinkFailed("asking for the firewall's connections");
  std::vector<uint8_t> buffer(kNetlinkRead_bytes);
  bool is_whole = true, is_over = false;
  while (!is_over) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) netlinkFailed("reading the firewall's connections");
    is_over = !eachMessage({buffer.data(), static_cast<std::size_t>(got)}, [&](const nlmsghdr& head, std::span<const uint8_t> payload) {
      if ((head.nlmsg_flags & NLM_F_DUMP_INTR) != 0) is_whole = false;
      if (head.nlmsg_type == NLMSG_ERROR && netlinkErrorOf(payload) != 0) {
        errno = netlinkErrorOf(payload);
        netlinkFailed("asking for the firewall's connections");
      }
      if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) return false;
      if (const auto message = readConntrack(head.nlmsg_type, payload); message && !isExpected(message->entry)) on_message(*message);
      return true;
    });
  }
  return is_whole;
}

namespace {

// What came of each, in their order: 0 or an error number.
std::vector<int> putBatch(const Fd& fd, std::span<const ConntrackEntry> batch, Put put) {
  std::vector<int> errors(batch.size());
  if (batch.empty()) return errors;
  std::vector<uint8_t> requests;
  for (uint32_t i = 0; i < batch.size(); i++) appendConntrackPut(requests, batch[i], i, put);
  exchangeRequests(fd, requests, batch.size(), [&](std::size_t at, const nlmsghdr& head, std::span<const uint8_t> payload) {
    errors[at] = head.nlmsg_type == NLMSG_ERROR ? netlinkErrorOf(payload) : 0;
  });
  return errors;
}

}  // namespace

std::vector<int> putEach(std::span<const ConntrackEntry> entries, Put put) {
  const Fd fd = openNetfilterSocket();
  std::vector<int> errors;
  while (!entries.empty()) {
    const auto batch = entries.first(std::min(entries.size(), kPutBatch));
    entries = entries.subspan(batch.size());
    std::vector<int> came = putBatch(fd, batch, put);
    std::vector<ConntrackEntry> known;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < batch.size(); i++) {
      if (came[i] != EOPNOTSUPP) continue;
      known.push_back(batch[i]);
      places.push_back(i);
    }
    const std::vector<int> again = putBatch(fd, known, Put::update);
    for (std::size_t i = 0; i < places.size(); i++) came[places[i]] = again[i];
    errors.insert(errors.end(), came.begin(), came.end());
  }
  return errors;
}

std::size_t putConntrack(std::span<const ConntrackEntry> entries, Put put) {
  const std::vector<int> errors = putEach(entries, put);
  return static_cast<std::size_t>(std::count_if(errors.begin(), errors.end(), [](int error) { return error != 0; }));
}

}  // namespace rainfront
