// `probe`: pings every target at a fixed rate and keeps the longest silence of each stream.
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <bitset>
#include <cstring>
#include <memory>
#include <vector>

#include "arguments.h"
#include "metronome.h"
#include "silence.h"
#include "subcommands.h"

namespace testhost {
namespace {

constexpr uint8_t kEchoRequest = 8, kEchoReply = 0;
constexpr uint8_t kEchoRequest6 = 128, kEchoReply6 = 129;
constexpr size_t kEchoLen = 16;  // ICMP header and eight bytes of send time

uint16_t checksum(const uint8_t* bytes, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < length; i += 2) sum += static_cast<uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

void put16(uint8_t* p, uint16_t value) {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}

uint16_t get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }

IpAddress addressOf(const sockaddr_storage& storage) {
  IpAddress address;
  address.is_ipv6 = storage.ss_family == AF_INET6;
  if (address.is_ipv6)
    memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, 16);
  else
    memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, 4);
  return address;
}

void takeRepliesOnly(int fd, bool is_ipv6) {
  if (is_ipv6) {
    icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(kEchoReply6, &filter);
    if (setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) < 0) fail("ICMPv6 filter");
    return;
  }
  const icmp_filter filter{~(1u << kEchoReply)};
  if (setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter) < 0) fail("ICMP filter");
}

FileDescriptor openIcmpSocket(const IpAddress& source) {
  const int family = source.is_ipv6 ? AF_INET6 : AF_INET;
  FileDescriptor fd(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, source.is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP), "raw ICMP socket");
  takeRepliesOnly(fd.get(), source.is_ipv6);
  const SocketAddress mine(source);
  if (bind(fd.get(), mine.get(), mine.length) < 0) fail("bind to " + addressText(source));
  const int bytes = 4 << 20;
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return fd;
}

struct Stream {
  IpAddress target;
  uint16_t id = 0, sequence = 0;
  Silence silence;
  std::bitset<65536> seen;  // sequence numbers of the latest 65,536 probes that were answered
  uint64_t sent = 0, received = 0, duplicates = 0, sendErrors = 0;
  Nanoseconds roundTripMax = 0;
};

class Prober final : public Instrument {
 public:
  Prober(const IpAddress& source, const std::vector<IpAddress>& targets) : fd_(openIcmpSocket(source)), is_ipv6_(source.is_ipv6) {
    // Own id per target and process: each stream is a flow of its own to whoever steers by address and id.
    const auto base = static_cast<uint16_t>(getpid() * 64);
    for (size_t i = 0; i < targets.size(); ++i) {
      streams_.push_back(std::make_unique<Stream>());
      streams_[i]->target = targets[i];
      streams_[i]->id = static_cast<uint16_t>(base + i);
    }
  }

  int socket() const override { return fd_.get(); }

  void reset(Nanoseconds now) override {
    for (auto& stream : streams_) {
      stream->silence.reset(now);
      stream->sent = stream->received = stream->duplicates = stream->sendErrors = 0;
      stream->roundTripMax = 0;
    }
  }

  void beat(Nanoseconds) override {
    for (auto& stream : streams_) ping(*stream);
  }

  void readable() override {
    uint8_t packet[512];
    sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t got;
    while ((got = recvfrom(fd_.get(), packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&from), &length)) > 0) {
      take(packet, static_cast<size_t>(got), addressOf(from), now_ns());
      length = sizeof from;
    }
  }

  void report(Nanoseconds now, Json& json) override {
    Nanoseconds longest = 0;
    for (const auto& stream : streams_) longest = std::max(longest, stream->silence.longest(now).length());
    json.key("gap_ms").ms(longest).key("targets").open('[');
    for (const auto& stream : streams_) {
      const Silence::Span gap = stream->silence.longest(now);
      json.open('{').key("target").string(addressText(stream->target));
      json.key("gap_ms").ms(gap.length()).key("gap_from_ms").ms(gap.from).key("gap_to_ms");
      gap.open ? json.null() : json.ms(gap.to);
      json.key("last_answer_ms").ms(stream->silence.lastAnswer());
      json.key("sent").count(stream->sent).key("received").count(stream->received);
      json.key("duplicates").count(stream->duplicates).key("send_errors").count(stream->sendErrors);
      json.key("round_trip_ms_max").ms(stream->roundTripMax).close('}');
    }
    json.close(']');
  }

 private:
  void ping(Stream& stream) {
    uint8_t echo[kEchoLen] = {is_ipv6_ ? kEchoRequest6 : kEchoRequest};
    const uint16_t sequence = stream.sequence++;
    const Nanoseconds sent = now_ns();
    put16(echo + 4, stream.id);
    put16(echo + 6, sequence);
    memcpy(echo + 8, &sent, sizeof sent);
    if (!is_ipv6_) put16(echo + 2, checksum(echo, sizeof echo));  // of ICMPv6 the kernel does it
    stream.seen.reset(sequence);
    const SocketAddress to(stream.target);
    ++stream.sent;
    if (sendto(fd_.get(), echo, sizeof echo, 0, to.get(), to.length) < 0) ++stream.sendErrors;
  }

  void take(const uint8_t* packet, size_t length, const IpAddress& from, Nanoseconds arrived) {
    // Raw sockets of IPv4 give the packet with its header, those of IPv6 without.
    const size_t header = is_ipv6_ || length == 0 ? 0 : static_cast<size_t>(packet[0] & 15) * 4;
    if (length < header + kEchoLen || packet[header] != (is_ipv6_ ? kEchoReply6 : kEchoReply)) return;
    const uint8_t* echo = packet + header;
    for (auto& stream : streams_) {
      if (stream->target != from || stream->id != get16(echo + 4)) continue;
      const uint16_t sequence = get16(echo + 6);
      if (stream->seen.test(sequence)) {
        ++stream->duplicates;
        return;
      }
      stream->seen.set(sequence);
      ++stream->received;
      Nanoseconds sent;
      memcpy(&sent, echo + 8, sizeof sent);
      stream->roundTripMax = std::max(stream->roundTripMax, arrived - sent);
      stream->silence.answered(arrived);
      return;
    }
  }

  FileDescriptor fd_;
  bool is_ipv6_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace

int probe(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--source-ip", "--targets", "--interval-us"});
  Prober prober(arguments.ipAddress("--source-ip"), arguments.ipAddresses("--targets"));
  Metronome(prober, arguments.microseconds("--interval-us", 1000) * 1000).run();
  return 0;
}

}  // namespace testhost
