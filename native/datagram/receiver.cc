#include "receiver.h"

#include <netinet/udp.h>

#include <algorithm>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace rainfront::datagram {
namespace {

// The size of the datagrams in a merged packet (its last one may be smaller); 0 for a packet that is one datagram.
std::size_t partBytes(const msghdr& packet) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&packet); control != nullptr; control = CMSG_NXTHDR(const_cast<msghdr*>(&packet), control)) {
    if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO) continue;
    int bytes = 0;
    std::memcpy(&bytes, CMSG_DATA(control), sizeof bytes);
    return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
  }
  return 0;
}

}  // namespace

Receiver::Receiver(std::span<uint8_t> slab, std::span<Arrival> arrivals, const Peers& peers, Counters& counters)
    : slab_(slab),
      arrivals_(arrivals),
      peers_(peers),
      counters_(counters),
      packets_(slab.size() / kSlotBytes),
      places_(packets_.size()),
      sources_(packets_.size()),
      controls_(packets_.size()) {
  for (std::size_t slot = 0; slot < packets_.size(); slot++) {
    places_[slot] = {slab_.data() + slot * kSlotBytes, kSlotBytes};
    rearm(slot);
  }
}

// The kernel overwrote the sizes with what it used.
void Receiver::rearm(std::size_t slot) {
  msghdr& packet = packets_[slot].msg_hdr;
  packet = {};
  packet.msg_name = &sources_[slot];
  packet.msg_namelen = sizeof(sockaddr_in);
  packet.msg_iov = &places_[slot];
  packet.msg_iovlen = 1;
  packet.msg_control = controls_[slot].bytes;
  packet.msg_controllen = sizeof controls_[slot].bytes;
}

bool Receiver::drain(const UdpSocket& socket, int32_t path, std::size_t share) {
  const std::size_t listable = (arrivals_.size() - arrivals_used_) / kPartsMax;
  const std::size_t room = std::min({share, slotsLeft(), listable});
  if (room == 0) return false;
  const int taken = ::recvmmsg(socket.fd(), &packets_[slots_used_], static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
  if (taken < 0) {
    if (errno == EAGAIN || errno == EINTR) return true;
    counters_.add(Counter::receive_failed);
    return false;
  }
  const std::size_t end = slots_used_ + static_cast<std::size_t>(taken);
  for (; slots_used_ < end; slots_used_++) {
    list(slots_used_, path);
    rearm(slots_used_);
  }
  return static_cast<std::size_t>(taken) < room;
}

void Receiver::list(std::size_t slot, int32_t path) {
  const mmsghdr& packet = packets_[slot];
  const std::size_t length = packet.msg_len;
  const int32_t peer = peers_.find(path, sources_[slot].sin_addr.s_addr);
  std::size_t part = partBytes(packet.msg_hdr);
  if (part == 0) part = length;
  if (part < length) counters_.add(Counter::merged_in);
  std::size_t at = 0;
  std::size_t parts = 0;
  do {  // a datagram may be empty
    if (++parts > kPartsMax) {
      counters_.add(Counter::receive_overflow);
      return;
    }
    const std::size_t bytes = std::min(part, length - at);
    arrivals_[arrivals_used_++] = {static_cast<int32_t>(slot * kSlotBytes + at), static_cast<int32_t>(bytes), path, peer};
    counters_.add(Counter::datagrams_in);
    at += bytes;
  } while (at < length);
}

}  // namespace rainfront::datagram
