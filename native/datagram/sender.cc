#include "sender.h"

#include <netinet/udp.h>

#include <algorithm>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace rainfront::datagram {
namespace {

// Parts of a packet, and its bytes, by the limits of all kernels that can split.
constexpr std::size_t kMergeParts = 64;
constexpr std::size_t kMergeBytes = 65000;
// What one sendmmsg takes.
constexpr std::size_t kPacketsPerCall = 1024;

}  // namespace

Sender::Sender(std::span<const uint8_t> slab, std::span<const Departure> departures, const Peers& peers, uint16_t port, Counters& counters)
    : slab_(slab), departures_(departures), peers_(peers), counters_(counters), addresses_(peers.size()) {
  for (std::size_t i = 0; i < peers.size(); i++) {
    addresses_[i].sin_family = AF_INET;
    addresses_[i].sin_port = htons(port);
    addresses_[i].sin_addr.s_addr = peers[i].address;
  }
  packets_.reserve(departures.size());
  pieces_.reserve(departures.size());
  headers_.resize(departures.size());
  controls_.resize(departures.size());
}

bool Sender::flush(std::size_t count, std::span<UdpSocket> sockets) {
  if (count > departures_.size()) return false;
  for (std::size_t path = 0; path < sockets.size(); path++) {
    collect(count, static_cast<int32_t>(path), sockets[path].mergeable_bytes_max());
    if (!packets_.empty()) send(sockets[path]);
  }
  return std::all_of(departures_.begin(), departures_.begin() + static_cast<std::ptrdiff_t>(count),
                     [this](const Departure& departure) { return isValid(departure); });
}

bool Sender::isValid(const Departure& departure) const {
  return departure.peer >= 0 && static_cast<std::size_t>(departure.peer) < peers_.size() && departure.offset >= 0 && departure.length >= 0 &&
         static_cast<std::size_t>(departure.offset) + static_cast<std::size_t>(departure.length) <= slab_.size();
}

void Sender::collect(std::size_t count, int32_t path, uint32_t mergeable_bytes_max) {
  packets_.clear();
  pieces_.clear();
  for (const Departure& departure : departures_.first(count)) {
    if (!isValid(departure) || peers_[static_cast<std::size_t>(departure.peer)].path != path) continue;
    const auto length = static_cast<std::size_t>(departure.length);
    if (!packets_.empty() && fits(packets_.back(), departure, mergeable_bytes_max)) {
      packets_.back().parts++;
      packets_.back().bytes += length;
    } else {
      packets_.push_back({pieces_.size(), 1, length, departure.peer});
    }
    pieces_.push_back({const_cast<uint8_t*>(slab_.data()) + departure.offset, length});
  }
}

bool Sender::fits(const Packet& packet, const Departure& next, uint32_t mergeable_bytes_max) const {
  const std::size_t size = pieces_[packet.first].iov_len;
  const auto length = static_cast<std::size_t>(next.length);
  if (packet.peer != next.peer || size > mergeable_bytes_max || length == 0 || length > size) return false;
  const bool all_equal = pieces_[packet.first + packet.parts - 1].iov_len == size;
  return all_equal && packet.parts < kMergeParts && packet.bytes + length <= kMergeBytes;
}

msghdr Sender::header(const Packet& packet) {
  msghdr header{};
  header.msg_name = &addresses_[static_cast<std::size_t>(packet.peer)];
  header.msg_namelen = sizeof(sockaddr_in);
  header.msg_iov = &pieces_[packet.first];
  header.msg_iovlen = packet.parts;
  return header;
}

void Sender::send(UdpSocket& socket) {
  for (std::size_t i = 0; i < packets_.size(); i++) {
    headers_[i] = {header(packets_[i]), 0};
    if (packets_[i].parts == 1) continue;
    msghdr& message = headers_[i].msg_hdr;
    message.msg_control = controls_[i].bytes;
    message.msg_controllen = sizeof controls_[i].bytes;
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto size = static_cast<uint16_t>(pieces_[packets_[i].first].iov_len);
    std::memcpy(CMSG_DATA(control), &size, sizeof size);
  }
  for (std::size_t at = 0; at < packets_.size();) {
    const auto some = static_cast<unsigned>(std::min(packets_.size() - at, kPacketsPerCall));
    const int taken = ::sendmmsg(socket.fd(), &headers_[at], some, MSG_DONTWAIT);
    if (taken <= 0) {
      at += onRefusal(socket, at, errno);
      continue;
    }
    for (const std::size_t end = at + static_cast<std::size_t>(taken); at < end; at++) {
      counters_.add(Counter::datagrams_out, packets_[at].parts);
      if (packets_[at].parts > 1) counters_.add(Counter::merged_out);
    }
  }
}

std::size_t Sender::onRefusal(UdpSocket& socket, std::size_t at, int error_number) {
  if (error_number == EINTR) return 0;
  const Packet& packet = packets_[at];
  if (packet.parts > 1 && socket.onMergeRefused(error_number, static_cast<uint32_t>(pieces_[packet.first].iov_len))) {
    counters_.add(Counter::merge_refused);
    sendParts(socket, packet);
    return 1;
  }
  // A full buffer stays full for what follows; any other cause may be the destination's.
  const std::size_t settled = error_number == EAGAIN ? packets_.size() - at : 1;
  for (std::size_t i = at; i < at + settled; i++) counters_.add(sendFailure(error_number), packets_[i].parts);
  return settled;
}

void Sender::sendParts(UdpSocket& socket, const Packet& packet) {
  for (std::size_t part = 0; part < packet.parts; part++) {
    const msghdr one = header({packet.first + part, 1, 0, packet.peer});
    const bool sent = ::sendmsg(socket.fd(), &one, MSG_DONTWAIT) >= 0;
    counters_.add(sent ? Counter::datagrams_out : sendFailure(errno));
  }
}

}  // namespace rainfront::datagram
