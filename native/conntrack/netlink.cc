#include "netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace rainfront {

namespace {

constexpr uint16_t messageType(uint8_t message) { return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message); }

// The attributes of one level, by type; of those that come twice the last. Views of the message.
class Attributes {
 public:
  explicit Attributes(std::span<const uint8_t> bytes) {
    while (bytes.size() >= NLA_HDRLEN) {
      nlattr head;
      std::memcpy(&head, bytes.data(), sizeof head);
      if (head.nla_len < NLA_HDRLEN || head.nla_len > bytes.size()) return;
      const std::size_t type = head.nla_type & NLA_TYPE_MASK;
      if (type < all_.size()) all_[type] = bytes.subspan(NLA_HDRLEN, head.nla_len - NLA_HDRLEN);
      bytes = bytes.subspan(std::min<std::size_t>(NLA_ALIGN(head.nla_len), bytes.size()));
    }
  }

  bool has(std::size_t type) const { return all_[type].data() != nullptr; }
  Attributes in(std::size_t type) const { return Attributes(all_[type]); }
  std::span<const uint8_t> bytes(std::size_t type) const { return all_[type]; }

  // In network byte order; 0 where it is not there, or of another size.
  uint8_t u8(std::size_t type) const { return all_[type].size() == 1 ? all_[type][0] : uint8_t{0}; }
  uint16_t u16(std::size_t type) const { return all_[type].size() == 2 ? rf_load16(all_[type].data()) : uint16_t{0}; }
  uint32_t u32(std::size_t type) const { return all_[type].size() == 4 ? rf_load32(all_[type].data()) : 0; }

 private:
  static constexpr std::size_t kTypes = 32;
  static_assert(CTA_MAX < kTypes);
  std::array<std::span<const uint8_t>, kTypes> all_{};
};

std::optional<Address> addressOf(std::span<const uint8_t> bytes) {
  if (bytes.size() == 4) return ipv4Address(rf_load32(bytes.data()));
  if (bytes.size() == 16) return Address{RF_ETHERTYPE_IPV6, rf_load64(bytes.data()), rf_load64(bytes.data() + 8)};
  return std::nullopt;
}

std::optional<ConntrackTuple> tupleOf(const Attributes& tuple) {
  const Attributes ip = tuple.in(CTA_TUPLE_IP);
  const bool is_ipv6 = ip.has(CTA_IP_V6_SRC);
  const auto source = addressOf(ip.bytes(is_ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC));
  const auto destination = addressOf(ip.bytes(is_ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST));
  if (!source || !destination || source->family != destination->family) return std::nullopt;
  const Attributes proto = tuple.in(CTA_TUPLE_PROTO);
  if (!proto.has(CTA_PROTO_NUM)) return std::nullopt;
  ConntrackTuple result{*source, *destination, proto.u16(CTA_PROTO_SRC_PORT), proto.u16(CTA_PROTO_DST_PORT), 0, proto.u8(CTA_PROTO_NUM)};
  const bool is_icmp = proto.has(CTA_PROTO_ICMP_ID), is_icmpv6 = proto.has(CTA_PROTO_ICMPV6_ID);
  if (is_icmp || is_icmpv6) {
    result.source_port = result.destination_port = proto.u16(is_icmp ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID);
    const uint8_t type = proto.u8(is_icmp ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE);
    const uint8_t code = proto.u8(is_icmp ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE);
    result.icmp = static_cast<uint16_t>(type << 8 | code);
  }
  return result;
}

// Of a request, attribute by attribute; a nest is closed when it goes out of scope.
class Request {
 public:
  Request(std::vector<uint8_t>& out, uint8_t message, uint16_t flags, uint8_t family, uint32_t sequence) : out_(out), start_(out.size()) {
    append(nlmsghdr{0, messageType(message), static_cast<uint16_t>(NLM_F_REQUEST | flags), sequence, 0});
    append(nfgenmsg{family, NFNETLINK_V0, 0});
  }
  ~Request() {
    const auto len = static_cast<uint32_t>(out_.size() - start_);
    std::memcpy(out_.data() + start_, &len, sizeof len);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  class Nest {
   public:
    Nest(Request& request, uint16_t type) : out_(request.out_), at_(out_.size()) { request.append(nlattr{0, static_cast<uint16_t>(NLA_F_NESTED | type)}); }
    ~Nest() {
      const auto len = static_cast<uint16_t>(out_.size() - at_);
      std::memcpy(out_.data() + at_, &len, sizeof len);
    }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    std::vector<uint8_t>& out_;
    std::size_t at_;
  };

  void put(uint16_t type, std::span<const uint8_t> value) {
    append(nlattr{static_cast<uint16_t>(NLA_HDRLEN + value.size()), type});
    out_.insert(out_.end(), value.begin(), value.end());
    out_.resize(start_ + NLA_ALIGN(out_.size() - start_));
  }
  void u8(uint16_t type, uint8_t value) { put(type, {&value, 1}); }
  void u16(uint16_t type, uint16_t value) {
    std::array<uint8_t, 2> bytes;
    rf_store16(bytes.data(), value);
    put(type, bytes);
  }
  void u32(uint16_t type, uint32_t value) {
    const uint32_t bytes = htonl(value);
    put(type, {reinterpret_cast<const uint8_t*>(&bytes), sizeof bytes});
  }
  void address(uint16_t ipv4_type, uint16_t ipv6_type, const Address& address) {
    if (address.family == RF_ETHERTYPE_IPV4) return u32(ipv4_type, static_cast<uint32_t>(address.low));
    std::array<uint8_t, 16> bytes;
    for (std::size_t i = 0; i < 8; i++) {
      bytes[i] = static_cast<uint8_t>(address.high >> (56 - 8 * i));
      bytes[8 + i] = static_cast<uint8_t>(address.low >> (56 - 8 * i));
    }
    put(ipv6_type, bytes);
  }

 private:
  template <typename T>
  void append(const T& value) {
    const auto* at = reinterpret_cast<const uint8_t*>(&value);
    out_.insert(out_.end(), at, at + sizeof value);
  }

  std::vector<uint8_t>& out_;
  std::size_t start_;
};

bool isIcmp(const ConntrackTuple& tuple) { return tuple.protocol == RF_PROTO_ICMP || tuple.protocol == RF_PROTO_ICMPV6; }

void putTuple(Request& request, uint16_t type, const ConntrackTuple& tuple) {
  const Request::Nest nest(request, type);
  {
    const Request::Nest ip(request, CTA_TUPLE_IP);
    request.address(CTA_IP_V4_SRC, CTA_IP_V6_SRC, tuple.source);
    request.address(CTA_IP_V4_DST, CTA_IP_V6_DST, tuple.destination);
  }
  const Request::Nest proto(request, CTA_TUPLE_PROTO);
  request.u8(CTA_PROTO_NUM, tuple.protocol);
  if (!isIcmp(tuple)) {
    request.u16(CTA_PROTO_SRC_PORT, tuple.source_port);
    request.u16(CTA_PROTO_DST_PORT, tuple.destination_port);
    return;
  }
  const bool is_v4 = tuple.protocol == RF_PROTO_ICMP;
  request.u16(is_v4 ? CTA_PROTO_ICMP_ID : CTA_PROTO_ICMPV6_ID, tuple.source_port);
  request.u8(is_v4 ? CTA_PROTO_ICMP_TYPE : CTA_PROTO_ICMPV6_TYPE, static_cast<uint8_t>(tuple.icmp >> 8));
  request.u8(is_v4 ? CTA_PROTO_ICMP_CODE : CTA_PROTO_ICMPV6_CODE, static_cast<uint8_t>(tuple.icmp));
}

ConntrackTuple untranslated(const ConntrackEntry& entry, bool is_source_translated, bool is_destination_translated) {
  ConntrackTuple reply = entry.reply;
  if (is_source_translated) {
    reply.destination = entry.original.source;
    reply.destination_port = entry.original.source_port;
  }
  if (is_destination_translated) {
    reply.source = entry.original.destination;
    reply.source_port = entry.original.destination_port;
  }
  return reply;
}

// Where NAT has put one end of it: one address, one port.
void putNat(Request& request, uint16_t type, const Address& address, uint16_t port, bool has_port) {
  const Request::Nest nest(request, type);
  request.address(CTA_NAT_V4_MINIP, CTA_NAT_V6_MINIP, address);
  request.address(CTA_NAT_V4_MAXIP, CTA_NAT_V6_MAXIP, address);
  if (!has_port) return;
  const Request::Nest proto(request, CTA_NAT_PROTO);
  request.u16(CTA_PROTONAT_PORT_MIN, port);
  request.u16(CTA_PROTONAT_PORT_MAX, port);
}

void putTcpFlags(Request& request, uint16_t type, uint8_t flags) {
  // Of a window that was not followed from the start nobody can say what is in it.
  const nf_ct_tcp_flags value = {static_cast<uint8_t>(flags | IP_CT_TCP_FLAG_BE_LIBERAL), 0xff};
  request.put(type, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
}

uint8_t tcpFlagsOf(std::span<const uint8_t> bytes) { return bytes.size() == sizeof(nf_ct_tcp_flags) ? bytes[0] : uint8_t{0}; }

uint8_t familyOf(const ConntrackTuple& tuple) { return tuple.source.family == RF_ETHERTYPE_IPV4 ? AF_INET : AF_INET6; }

}  // namespace

std::optional<ConntrackMessage> readConntrack(uint16_t type, std::span<const uint8_t> payload) {
  const bool is_end = type == messageType(IPCTNL_MSG_CT_DELETE);
  if ((!is_end && type != messageType(IPCTNL_MSG_CT_NEW)) || payload.size() < sizeof(nfgenmsg)) return std::nullopt;
  const Attributes all(payload.subspan(sizeof(nfgenmsg)));
  const auto original = tupleOf(all.in(CTA_TUPLE_ORIG));
  const auto reply = tupleOf(all.in(CTA_TUPLE_REPLY));
  if (!original || !reply || all.has(CTA_ZONE)) return std::nullopt;
  if (original->protocol == IPPROTO_TCP && !is_end && !all.has(CTA_PROTOINFO)) return std::nullopt;
  const Attributes tcp = all.in(CTA_PROTOINFO).in(CTA_PROTOINFO_TCP);
  return ConntrackMessage{is_end ? ConntrackEvent::ended : ConntrackEvent::changed,
                          {*original, *reply, all.u32(CTA_STATUS), all.u32(CTA_TIMEOUT), all.u32(CTA_MARK), tcp.u8(CTA_PROTOINFO_TCP_STATE),
                           tcp.u8(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL), tcp.u8(CTA_PROTOINFO_TCP_WSCALE_REPLY), tcpFlagsOf(tcp.bytes(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL)),
                           tcpFlagsOf(tcp.bytes(CTA_PROTOINFO_TCP_FLAGS_REPLY))}};
}

bool isExpected(const ConntrackEntry& entry) { return (entry.status & IPS_EXPECTED) != 0; }

void appendConntrackPut(std::vector<uint8_t>& out, const ConntrackEntry& entry, uint32_t sequence, Put put) {
  const bool is_new = put == Put::create;
  const auto flags = static_cast<uint16_t>(NLM_F_ACK | (is_new ? NLM_F_CREATE : 0));
  Request request(out, IPCTNL_MSG_CT_NEW, flags, familyOf(entry.original), sequence);
  const ConntrackTuple& original = entry.original;
  const ConntrackTuple& reply = entry.reply;
  // A translation is made with the connection, and never changed.
  const bool is_source_translated = is_new && (entry.status & IPS_SRC_NAT) != 0;
  const bool is_destination_translated = is_new && (entry.status & IPS_DST_NAT) != 0;
  putTuple(request, CTA_TUPLE_ORIG, original);
  // As if there were no translation: the kernel translates what it is given.
  if (is_new) putTuple(request, CTA_TUPLE_REPLY, untranslated(entry, is_source_translated, is_destination_translated));
  // The rest of the bits is the kernel's own, and follows from what is given here.
  request.u32(CTA_STATUS, IPS_CONFIRMED | (entry.status & (IPS_SEEN_REPLY | IPS_ASSURED)));
  request.u32(CTA_TIMEOUT, entry.timeout_s);
  if (entry.mark != 0) request.u32(CTA_MARK, entry.mark);
  if (entry.original.protocol == RF_PROTO_TCP) {
    const Request::Nest info(request, CTA_PROTOINFO);
    const Request::Nest tcp(request, CTA_PROTOINFO_TCP);
    request.u8(CTA_PROTOINFO_TCP_STATE, entry.tcp_state);
    request.u8(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, entry.window_scale_original);
    request.u8(CTA_PROTOINFO_TCP_WSCALE_REPLY, entry.window_scale_reply);
    putTcpFlags(request, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, entry.tcp_flags_original);
    putTcpFlags(request, CTA_PROTOINFO_TCP_FLAGS_REPLY, entry.tcp_flags_reply);
  }
  const bool has_ports = !isIcmp(original) && (original.source_port != 0 || original.destination_port != 0);
  if (is_source_translated) putNat(request, CTA_NAT_SRC, reply.destination, reply.destination_port, has_ports);
  if (is_destination_translated) putNat(request, CTA_NAT_DST, reply.source, reply.source_port, has_ports);
}

void appendConntrackGet(std::vector<uint8_t>& out, const ConntrackTuple& tuple, uint32_t sequence) {
  Request request(out, IPCTNL_MSG_CT_GET, 0, familyOf(tuple), sequence);
  putTuple(request, CTA_TUPLE_ORIG, tuple);
}

void appendConntrackDump(std::vector<uint8_t>& out, uint32_t sequence) { Request(out, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, sequence); }

}  // namespace rainfront
