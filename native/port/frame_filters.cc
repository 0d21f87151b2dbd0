#include "frame_filters.h"

#include <array>
#include <cstddef>

#include "../steer/icmp.h"

namespace rainfront {

namespace {

constexpr uint32_t kWhole = 0xffffffff;
constexpr uint32_t kEthertypeAt = 2 * RF_MAC_LEN;
constexpr uint32_t kNextHeaderAt = RF_ETH_HEADER_LEN + 6;
constexpr uint32_t kIcmpTypeAt = RF_ETH_HEADER_LEN + RF_IPV6_HEADER_LEN;
// A program that reads beyond a frame's end refuses it. Shorter than this there is no whole ARP packet either.
constexpr uint32_t kTaggedHeaderLen = RF_ETH_HEADER_LEN + RF_VLAN_TAGS_MAX * RF_VLAN_TAG_LEN;
constexpr uint32_t kAllNodes = 1;
constexpr uint16_t kGroupOfIpv6 = 0x3333;
constexpr uint32_t kSolicitedNodeMask = 0xff000000;

// A program that is written from its start to its end: jumps go forward, to a label that is placed later.
class Program {
 public:
  enum Label { next, outer_tag, inner_tag, ethertype, arp, discovery, to_one, other, accept, refuse, labels };

  void load(uint16_t how, uint32_t k) { steps_.push_back({{how, 0, 0, k}, next, next}); }
  void jump(uint16_t test, uint32_t k, Label if_true, Label if_false) {
    steps_.push_back({{static_cast<uint16_t>(BPF_JMP | test | BPF_K), 0, 0, k}, if_true, if_false});
  }
  void place(Label label) { places_[label] = steps_.size(); }
  void end(Label label, uint32_t result) {
    place(label);
    load(BPF_RET | BPF_K, result);
  }

  std::vector<sock_filter> assembled() const {
    std::vector<sock_filter> program;
    for (std::size_t at = 0; at < steps_.size(); at++) {
      sock_filter code = steps_[at].code;
      code.jt = distance(at, steps_[at].if_true);
      code.jf = distance(at, steps_[at].if_false);
      program.push_back(code);
    }
    return program;
  }

 private:
  struct Step {
    sock_filter code;
    Label if_true, if_false;
  };
  uint8_t distance(std::size_t from, Label to) const { return to == next ? 0 : static_cast<uint8_t>(places_[to] - from - 1); }

  std::vector<Step> steps_;
  std::array<std::size_t, labels> places_{};
};

// Loads the ethertype behind `tags` tags, or goes on to the next when it is a tag's.
void behindTag(Program& to, uint32_t tags, Program::Label tag) {
  to.load(BPF_LDX | BPF_W | BPF_IMM, tags * RF_VLAN_TAG_LEN);
  to.load(BPF_LD | BPF_H | BPF_IND, kEthertypeAt);
  to.jump(BPF_JEQ, RF_ETHERTYPE_VLAN, tag, Program::next);
  to.jump(BPF_JEQ, RF_ETHERTYPE_SERVICE_VLAN, tag, Program::ethertype);
  to.place(tag);
}

// Goes to `arp`, `discovery` or `other`. Behind two tags at most, beside the one that the kernel has taken off; X is how many bytes these are.
void classify(Program& to) {
  to.load(BPF_LD | BPF_W | BPF_LEN, 0);
  to.jump(BPF_JGE, kTaggedHeaderLen, Program::next, Program::other);
  behindTag(to, 0, Program::outer_tag);
  behindTag(to, 1, Program::inner_tag);
  to.load(BPF_LDX | BPF_W | BPF_IMM, 2 * RF_VLAN_TAG_LEN);
  to.load(BPF_LD | BPF_H | BPF_IND, kEthertypeAt);
  to.place(Program::ethertype);
  to.jump(BPF_JEQ, RF_ETHERTYPE_ARP, Program::arp, Program::next);
  to.jump(BPF_JEQ, RF_ETHERTYPE_IPV6, Program::next, Program::other);
  to.load(BPF_LD | BPF_W | BPF_LEN, 0);
  to.load(BPF_ALU | BPF_SUB | BPF_X, 0);
  to.jump(BPF_JGT, kIcmpTypeAt, Program::next, Program::other);
  to.load(BPF_LD | BPF_B | BPF_IND, kNextHeaderAt);
  to.jump(BPF_JEQ, RF_PROTO_ICMPV6, Program::next, Program::other);
  to.load(BPF_LD | BPF_B | BPF_IND, kIcmpTypeAt);
  to.jump(BPF_JEQ, RF_ND_SOLICITATION, Program::discovery, Program::next);
  to.jump(BPF_JEQ, RF_ND_ADVERTISEMENT, Program::discovery, Program::other);
}

// Goes on when it is sent to the front MAC.
void toFrontMac(Program& to, const Mac& front_mac) {
  to.load(BPF_LD | BPF_W | BPF_ABS, 0);
  to.jump(BPF_JEQ, rf_load32(front_mac.data()), Program::next, Program::refuse);
  to.load(BPF_LD | BPF_H | BPF_ABS, 4);
  to.jump(BPF_JEQ, rf_load16(front_mac.data() + 4), Program::next, Program::refuse);
}

}  // namespace

std::vector<sock_filter> neighborFilter(const Mac& front_mac) {
  Program filter;
  classify(filter);
  filter.place(Program::discovery);
  filter.load(BPF_LD | BPF_H | BPF_ABS, 0);
  filter.jump(BPF_JEQ, kGroupOfIpv6, Program::next, Program::to_one);
  filter.load(BPF_LD | BPF_W | BPF_ABS, 2);
  filter.jump(BPF_JEQ, kAllNodes, Program::accept, Program::next);
  filter.load(BPF_ALU | BPF_AND | BPF_K, kSolicitedNodeMask);
  filter.jump(BPF_JEQ, kSolicitedNodeMask, Program::accept, Program::refuse);
  filter.place(Program::to_one);
  toFrontMac(filter, front_mac);
  filter.place(Program::arp);
  filter.end(Program::accept, kWhole);
  filter.place(Program::other);
  filter.end(Program::refuse, 0);
  return filter.assembled();
}

std::vector<sock_filter> packetFilter(const Mac& front_mac) {
  Program filter;
  toFrontMac(filter, front_mac);
  classify(filter);
  filter.place(Program::other);
  filter.end(Program::accept, kWhole);
  filter.place(Program::arp);
  filter.place(Program::discovery);
  filter.end(Program::refuse, 0);
  return filter.assembled();
}

}  // namespace rainfront
