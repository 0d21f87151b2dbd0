// `observe`: asks for every VIP of a segment in turn, for ever, and records which MACs answer.
//
// An ARP answer does not say which request it answers, and a late one must not be taken for an answer to a later request. So
// the requests go out under 256 sender MACs in rotation: the answer comes back to the MAC of its own request.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>

#include "arguments.h"
#include "metronome.h"
#include "ownership_report.h"
#include "subcommands.h"

namespace testhost {
namespace {

constexpr size_t kArpFrameLen = 42;
constexpr Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr uint16_t kRequest = 1;

Mac macAt(const uint8_t* p) {
  Mac mac;
  memcpy(mac.data(), p, mac.size());
  return mac;
}

Address addressAt(const uint8_t* p) { return Address{p[0]} << 24 | Address{p[1]} << 16 | Address{p[2]} << 8 | p[3]; }

void putAddress(uint8_t* p, Address address) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<uint8_t>(address >> (24 - 8 * i));
}

FileDescriptor openArpSocket(const std::string& interface) {
  FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP)), "packet socket");
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_ARP);
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
  Observer(const std::string& interface, Address source, const std::vector<Address>& vips) : fd_(openArpSocket(interface)), source_(source) {
    for (Address vip : vips) vips_.push_back({vip, {}});
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
    uint8_t frame[kArpFrameLen] = {};
    const Mac mine = macOf(number);
    memcpy(frame, kBroadcast.data(), 6);
    memcpy(frame + 6, mine.data(), 6);
    const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, kRequest};
    memcpy(frame + 12, head, sizeof head);
    memcpy(frame + 22, mine.data(), 6);
    putAddress(frame + 28, source_);
    putAddress(frame + 38, vip.address);
    // Taken before the sending: an answer proves ownership at or after this time.
    const Nanoseconds sent = now_ns();
    requests_[number] = {which, vip.ownership.asked(sent), sent};
    if (send(fd_.get(), frame, sizeof frame, 0) != sizeof frame) ++sendErrors_;
  }

  void readable() override {
    uint8_t frame[256];
    sockaddr_ll from;
    socklen_t length = sizeof from;
    ssize_t got;
    while ((got = recvfrom(fd_.get(), frame, sizeof frame, 0, reinterpret_cast<sockaddr*>(&from), &length)) > 0) {
      if (from.sll_pkttype != PACKET_OUTGOING && got >= static_cast<ssize_t>(kArpFrameLen)) take(frame, now_ns());
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

  Mac macOf(uint8_t number) const { return {0x06, 0x72, 0x66, 0x6f, static_cast<uint8_t>(source_), number}; }

  void take(const uint8_t* frame, Nanoseconds arrived) {
    const Mac target = macAt(frame), sender = macAt(frame + 22);
    const uint16_t operation = static_cast<uint16_t>(frame[20] << 8 | frame[21]);
    const Address senderIp = addressAt(frame + 28), targetIp = addressAt(frame + 38);
    const uint8_t number = target[5];
    if (operation != kRequest && target == macOf(number)) {
      const Request& request = requests_[number];
      ObservedVip& vip = vips_[request.vip];
      if (request.sent != 0 && vip.address == senderIp) vip.ownership.answered(request.index, request.sent, sender, arrived);
      return;
    }
    for (ObservedVip& vip : vips_) {
      if (vip.address != senderIp) continue;
      if (senderIp == targetIp) vip.ownership.announced(sender);
      // A question asked in a VIP's name changes neighbour caches just as an announcement does, and nobody meant it to.
      else if (operation == kRequest) ++leaks_;
    }
  }

  FileDescriptor fd_;
  Address source_;
  std::vector<ObservedVip> vips_;
  Request requests_[256];
  uint8_t nextMac_ = 0;
  uint64_t turn_ = 0, sendErrors_ = 0, leaks_ = 0;
};

}  // namespace

int observe(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--interface", "--source-ip", "--vips", "--interval-us"});
  Observer observer(arguments.text("--interface"), arguments.address("--source-ip"), arguments.addresses("--vips"));
  Metronome(observer, arguments.microseconds("--interval-us", 1000) * 1000).run();
  return 0;
}

}  // namespace testhost
