// `observe`: asks for every VIP of a segment in turn, for ever, and records which MACs answer.
//
// An answer, of ARP or of neighbour discovery, does not say which request it answers, and a late one must not be taken for an answer to a later
// request. So the requests go out under 256 sender MACs in rotation: the answer comes back to the MAC of its own request.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>

#include "arguments.h"
#include "metronome.h"
#include "ownership_report.h"
#include "questions.h"
#include "subcommands.h"

namespace testhost {
namespace {

FileDescriptor openPacketSocket(const std::string& interface, uint16_t protocol) {
  FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(protocol)), "packet socket");
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(protocol);
  where.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (where.sll_ifindex == 0) fail("interface " + interface);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) < 0) fail("bind to " + interface);
  packet_mreq promiscuous{};
  promiscuous.mr_ifindex = where.sll_ifindex;
  promiscuous.mr_type = PACKET_MR_PROMISC;
  if (setsockopt(fd.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0) fail("promiscuous mode");
  const int bytes = 4 << 20;
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return fd;
}

class Observer final : public Instrument {
 public:
  Observer(const std::string& interface, const IpAddress& source, const std::vector<IpAddress>& vips)
      : fd_(openPacketSocket(interface, source.is_ipv6 ? ETH_P_IPV6 : ETH_P_ARP)), source_(source) {
    for (const IpAddress& vip : vips) vips_.push_back({vip, {}});
  }

  int socket() const override { return fd_.get(); }

  void reset(Nanoseconds now) override {
    sendErrors_ = leaks_ = 0;
    for (ObservedVip& vip : vips_) vip.ownership.reset(now);
  }

  void beat(Nanoseconds) override {
    const size_t which = turn_++ % vips_.size();
    ObservedVip& vip = vips_[which];
    const uint8_t number = nextMac_++;
    const std::vector<uint8_t> frame = writeQuestion(macOf(number), source_, vip.address);
    // Taken before the sending: an answer proves ownership at or after this time.
    const Nanoseconds sent = now_ns();
    requests_[number] = {which, vip.ownership.asked(sent), sent};
    if (send(fd_.get(), frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size())) ++sendErrors_;
  }

  void readable() override {
    uint8_t frame[256];
    sockaddr_ll from;
    socklen_t length = sizeof from;
    ssize_t got;
    while ((got = recvfrom(fd_.get(), frame, sizeof frame, 0, reinterpret_cast<sockaddr*>(&from), &length)) > 0) {
      if (from.sll_pkttype != PACKET_OUTGOING) take({frame, static_cast<size_t>(got)}, now_ns());
      length = sizeof from;
    }
  }

  void report(Nanoseconds now, Json& json) override {
    json.key("send_errors").count(sendErrors_).key("leaks").count(leaks_);
    writeOwnership(vips_, now, json);
  }

 private:
  struct Request {
    size_t vip = 0;
    uint64_t index = 0;
    Nanoseconds sent = 0;
  };

  Mac macOf(uint8_t number) const { return {0x06, 0x72, 0x66, 0x6f, source_.bytes[source_.is_ipv6 ? 15 : 3], number}; }

  void take(std::span<const uint8_t> frame, Nanoseconds arrived) {
    const auto claim = readClaim(frame, source_.is_ipv6);
    if (!claim) return;
    const uint8_t number = claim->to[5];
    if (claim->how == Shown::answer && claim->to == macOf(number)) {
      const Request& request = requests_[number];
      ObservedVip& vip = vips_[request.vip];
      if (request.sent != 0 && vip.address == claim->address) vip.ownership.answered(request.index, request.sent, claim->mac, arrived);
      return;
    }
    for (ObservedVip& vip : vips_) {
      if (vip.address != claim->address) continue;
      if (claim->how == Shown::announcement) vip.ownership.announced(claim->mac);
      // A question asked in a VIP's name changes neighbour caches just as an announcement does, and nobody meant it to.
      else if (claim->how == Shown::question) ++leaks_;
    }
  }

  FileDescriptor fd_;
  IpAddress source_;
  std::vector<ObservedVip> vips_;
  Request requests_[256];
  uint8_t nextMac_ = 0;
  uint64_t turn_ = 0, sendErrors_ = 0, leaks_ = 0;
};

}  // namespace

int observe(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--interface", "--source-ip", "--vips", "--interval-us"});
  Observer observer(arguments.text("--interface"), arguments.ipAddress("--source-ip"), arguments.ipAddresses("--vips"));
  Metronome(observer, arguments.microseconds("--interval-us", 1000) * 1000).run();
  return 0;
}

}  // namespace testhost
