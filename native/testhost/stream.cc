// `stream`: UDP packets of many flows at a fixed rate to hosts that send them back (`echo`), each with a number, and which of them never came back. A
// packet that a gateway loses is lost for good, which is the difference from TCP and from pings that are asked for again.
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "arguments.h"
#include "metronome.h"
#include "subcommands.h"

namespace testhost {
namespace {

constexpr Nanoseconds kBeat_ns = 1'000'000;
// A packet that was sent less than this ago may still be on its way.
constexpr Nanoseconds kPatience_ns = 1'000'000'000;
// What a beat that comes late makes up for; the rest is not sent.
constexpr Nanoseconds kCatchUp_ns = 20'000'000;
constexpr size_t kPayloadBytes = 32;
constexpr size_t kBeatsMax = 1'000'000;
constexpr size_t kSpansMax = 32;
constexpr uint32_t kMagic = 0x52465354;

struct Payload {
  uint32_t magic;
  uint32_t run;  // packets of the window before do not count
  uint64_t number;
  uint8_t padding[kPayloadBytes - 16];
};
static_assert(sizeof(Payload) == kPayloadBytes);

FileDescriptor openUdp(const IpAddress& source, uint16_t port, int buffer_bytes) {
  FileDescriptor fd(::socket(source.is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "UDP socket");
  // Beyond the system's limit where that is allowed: what is lost here would look like a loss of the gateways.
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) < 0)
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
  const SocketAddress mine(source, port);
  if (bind(fd.get(), mine.get(), mine.length) < 0) fail("bind to " + addressText(source));
  return fd;
}

// Packets that a socket had no room for, as the kernel counts them.
uint32_t overflowOf(int fd) {
  uint32_t info[SK_MEMINFO_VARS];
  socklen_t length = sizeof info;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length) < 0) return 0;
  return info[SK_MEMINFO_DROPS];
}

class Stream final : public Instrument {
 public:
  Stream(const std::vector<IpAddress>& sources, const std::vector<IpAddress>& targets, uint16_t port, size_t flows, uint64_t packets_per_s)
      : poll_(epoll_create1(EPOLL_CLOEXEC), "epoll"), packets_per_s_(packets_per_s) {
    std::vector<std::pair<IpAddress, IpAddress>> ends;
    for (const IpAddress& target : targets)
      for (const IpAddress& source : sources)
        if (source.is_ipv6 == target.is_ipv6) ends.emplace_back(source, target);
    if (ends.empty()) throw UsageError("--source-ips and --targets have no family in common");
    for (size_t i = 0; i < flows; i++) {
      const auto& [source, target] = ends[i % ends.size()];
      FileDescriptor fd = openUdp(source, 0, 1 << 20);
      const SocketAddress to(target, port);
      if (connect(fd.get(), to.get(), to.length) < 0) fail("connect to " + addressText(target));
      epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
      if (epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd.get(), &event) < 0) fail("epoll");
      flows_.push_back(std::move(fd));
    }
  }

  int socket() const override { return poll_.get(); }

  void reset(Nanoseconds now) override {
    ++run_;
    started_ = now;
    unsent_ = sent_ = received_ = duplicates_ = sendErrors_ = 0;
    seen_.clear();
    beats_.clear();
    overflow_ = overflow();
  }

  void beat(Nanoseconds now) override {
    const uint64_t due = static_cast<uint64_t>(now - started_) * packets_per_s_ / 1'000'000'000;
    const uint64_t most = packets_per_s_ * kCatchUp_ns / 1'000'000'000;
    if (due - unsent_ - sent_ > most) unsent_ = due - sent_ - most;
    if (beats_.size() < kBeatsMax) beats_.push_back({now, sent_});
    while (sent_ + unsent_ < due) send();
  }

  void readable() override {
    std::array<epoll_event, 64> events;
    const int ready = epoll_wait(poll_.get(), events.data(), events.size(), 0);
    for (int i = 0; i < ready; i++) receive(flows_[events[static_cast<size_t>(i)].data.u64].get());
  }

  void report(Nanoseconds now, Json& json) override {
    readable();
    const uint64_t judged = numberAt(now - kPatience_ns);
    uint64_t lost = 0;
    struct Span {
      Nanoseconds from, to;
      uint64_t count;
    };
    std::vector<Span> spans;
    size_t beat = 0;
    for (uint64_t number = 0; number < judged; number++) {
      if (isSeen(number)) continue;
      ++lost;
      while (beat + 1 < beats_.size() && beats_[beat + 1].first <= number) ++beat;
      const Nanoseconds at = beats_[beat].at;
      if (!spans.empty() && at - spans.back().to <= 10 * kBeat_ns) spans.back() = {spans.back().from, at, spans.back().count + 1};
      else if (spans.size() < kSpansMax) spans.push_back({at, at, 1});
    }
    json.key("sent").count(judged).key("lost").count(lost).key("received").count(received_);
    json.key("duplicates").count(duplicates_).key("send_errors").count(sendErrors_).key("unsent").count(unsent_);
    json.key("overflow").count(overflow() - overflow_);
    json.key("losses").open('[');
    for (const Span& span : spans) json.open('{').key("from_ms").ms(span.from).key("to_ms").ms(span.to).key("count").count(span.count).close('}');
    json.close(']');
  }

 private:
  struct Beat {
    Nanoseconds at;
    uint64_t first;  // the first number that was sent in it
  };

  void send() {
    Payload payload{};
    payload.magic = kMagic;
    payload.run = run_;
    payload.number = sent_++;
    const int fd = flows_[payload.number % flows_.size()].get();
    // Not sent is lost, too: then the figures say why.
    if (::send(fd, &payload, sizeof payload, 0) != static_cast<ssize_t>(sizeof payload)) ++sendErrors_;
  }

  void receive(int fd) {
    Payload payload;
    while (::recv(fd, &payload, sizeof payload, 0) == static_cast<ssize_t>(sizeof payload)) {
      if (payload.magic != kMagic || payload.run != run_ || payload.number >= sent_) continue;
      const size_t word = payload.number / 64;
      if (word >= seen_.size()) seen_.resize(std::max(word + 1, 2 * seen_.size()));
      const uint64_t bit = uint64_t{1} << (payload.number % 64);
      if ((seen_[word] & bit) != 0) {
        ++duplicates_;
        continue;
      }
      seen_[word] |= bit;
      ++received_;
    }
  }

  bool isSeen(uint64_t number) const { return number / 64 < seen_.size() && (seen_[number / 64] >> (number % 64) & 1) != 0; }

  // The first number that was not sent by then.
  uint64_t numberAt(Nanoseconds time) const {
    const auto after = std::find_if(beats_.begin(), beats_.end(), [time](const Beat& beat) { return beat.at > time; });
    return after == beats_.end() ? sent_ : after->first;
  }

  uint64_t overflow() const {
    uint64_t sum = 0;
    for (const FileDescriptor& fd : flows_) sum += overflowOf(fd.get());
    return sum;
  }

  FileDescriptor poll_;
  std::vector<FileDescriptor> flows_;
  const uint64_t packets_per_s_;
  uint32_t run_ = 0;
  Nanoseconds started_ = 0;
  uint64_t sent_ = 0, unsent_ = 0, received_ = 0, duplicates_ = 0, sendErrors_ = 0, overflow_ = 0;
  std::vector<uint64_t> seen_;
  std::vector<Beat> beats_;
};

// Sends every datagram back to where it came from.
class Echo final : public Instrument {
 public:
  Echo(const IpAddress& address, uint16_t port) : fd_(openUdp(address, port, 64 << 20)) {}

  int socket() const override { return fd_.get(); }
  void reset(Nanoseconds) override {
    echoed_ = 0;
    overflow_ = overflowOf(fd_.get());
  }
  void beat(Nanoseconds) override {}

  void readable() override {
    std::array<std::array<uint8_t, 2048>, 64> packets;
    std::array<sockaddr_storage, 64> from;
    std::array<iovec, 64> parts;
    std::array<mmsghdr, 64> messages{};
    for (size_t i = 0; i < messages.size(); i++) {
      parts[i] = {packets[i].data(), packets[i].size()};
      messages[i].msg_hdr = {&from[i], sizeof from[i], &parts[i], 1, nullptr, 0, 0};
    }
    int got;
    while ((got = recvmmsg(fd_.get(), messages.data(), messages.size(), MSG_DONTWAIT, nullptr)) > 0) {
      for (size_t i = 0; i < static_cast<size_t>(got); i++) parts[i].iov_len = messages[i].msg_len;
      const int sent = sendmmsg(fd_.get(), messages.data(), static_cast<unsigned>(got), 0);
      echoed_ += static_cast<uint64_t>(std::max(sent, 0));
      for (iovec& part : parts) part.iov_len = packets[0].size();
      for (mmsghdr& message : messages) message.msg_hdr.msg_namelen = sizeof from[0];
    }
  }

  void report(Nanoseconds, Json& json) override { json.key("echoed").count(echoed_).key("overflow").count(overflowOf(fd_.get()) - overflow_); }

 private:
  FileDescriptor fd_;
  uint64_t echoed_ = 0;
  uint32_t overflow_ = 0;
};

uint16_t portOf(const Arguments& arguments) { return static_cast<uint16_t>(arguments.number("--port", 7, 1, 65535)); }

}  // namespace

int stream(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--source-ips", "--targets", "--port", "--flows", "--pps"});
  const auto flows = static_cast<size_t>(arguments.number("--flows", 64, 1, 4096));
  const auto packets_per_s = static_cast<uint64_t>(arguments.number("--pps", 25'000, 1, 1'000'000));
  // A socket for each flow.
  const rlimit files{flows + 64, flows + 64};
  (void)setrlimit(RLIMIT_NOFILE, &files);
  Stream instrument(arguments.ipAddresses("--source-ips", Arguments::Families::both), arguments.ipAddresses("--targets", Arguments::Families::both), portOf(arguments), flows, packets_per_s);
  Metronome(instrument, kBeat_ns).run();
  return 0;
}

int echo(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--address", "--port"});
  Echo instrument(arguments.ipAddress("--address"), portOf(arguments));
  Metronome(instrument, 100 * kBeat_ns).run();
  return 0;
}

}  // namespace testhost
