#include "record.h"

namespace rainfront {

namespace {

// The first byte.
enum Kind : uint8_t { kChanged4 = 1, kEnded4 = 2, kChanged6 = 3, kEnded6 = 4 };

class Writer {
 public:
  explicit Writer(std::vector<uint8_t>& out) : out_(out) {}
  template <typename T>
  void put(T value) {
    for (int shift = (static_cast<int>(sizeof(T)) - 1) * 8; shift >= 0; shift -= 8) out_.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> shift));
  }
  void tuple(const ConntrackTuple& tuple) {
    for (const Address& address : {tuple.source, tuple.destination}) {
      if (address.family == RF_ETHERTYPE_IPV4) {
        put(static_cast<uint32_t>(address.low));
        continue;
      }
      put(address.high);
      put(address.low);
    }
    put(tuple.source_port);
    put(tuple.destination_port);
    put(tuple.icmp);
  }

 private:
  std::vector<uint8_t>& out_;
};

// Past the end all is 0, and `isWhole` says so.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : left_(bytes) {}
  template <typename T>
  T take() {
    if (left_.size() < sizeof(T)) {
      is_whole_ = false;
      return 0;
    }
    uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); i++) value = value << 8 | left_[i];
    left_ = left_.subspan(sizeof(T));
    return static_cast<T>(value);
  }
  ConntrackTuple tuple(bool is_ipv6, uint8_t protocol) {
    ConntrackTuple result;
    for (Address* address : {&result.source, &result.destination}) {
      address->family = is_ipv6 ? RF_ETHERTYPE_IPV6 : RF_ETHERTYPE_IPV4;
      if (is_ipv6) address->high = take<uint64_t>();
      address->low = is_ipv6 ? take<uint64_t>() : take<uint32_t>();
    }
    result.source_port = take<uint16_t>();
    result.destination_port = take<uint16_t>();
    result.icmp = take<uint16_t>();
    result.protocol = protocol;
    return result;
  }
  bool isWhole() const { return is_whole_; }
  std::span<const uint8_t> left() const { return left_; }

 private:
  std::span<const uint8_t> left_;
  bool is_whole_ = true;
};

}  // namespace

void appendRecord(std::vector<uint8_t>& out, const ConntrackMessage& message) {
  const auto& [event, entry] = message;
  const bool is_ipv6 = entry.original.source.family == RF_ETHERTYPE_IPV6;
  const bool is_end = event == ConntrackEvent::ended;
  Writer writer(out);
  writer.put(is_end ? (is_ipv6 ? kEnded6 : kEnded4) : (is_ipv6 ? kChanged6 : kChanged4));
  writer.put(entry.original.protocol);
  writer.tuple(entry.original);
  if (is_end) return;
  writer.tuple(entry.reply);
  writer.put(static_cast<uint16_t>(entry.status));
  writer.put(entry.timeout_s);
  writer.put(entry.mark);
  writer.put(entry.tcp_state);
  writer.put(static_cast<uint8_t>(entry.window_scale_original << 4 | (entry.window_scale_reply & 15)));
  writer.put(entry.tcp_flags_original);
  writer.put(entry.tcp_flags_reply);
}

std::optional<ConntrackMessage> takeRecord(std::span<const uint8_t>& bytes) {
  Reader reader(bytes);
  const uint8_t kind = reader.take<uint8_t>();
  if (kind < kChanged4 || kind > kEnded6) return std::nullopt;
  const bool is_ipv6 = kind == kChanged6 || kind == kEnded6;
  const bool is_end = kind == kEnded4 || kind == kEnded6;
  const uint8_t protocol = reader.take<uint8_t>();
  ConntrackMessage message{is_end ? ConntrackEvent::ended : ConntrackEvent::changed, {}};
  ConntrackEntry& entry = message.entry;
  entry.original = reader.tuple(is_ipv6, protocol);
  if (!is_end) {
    entry.reply = reader.tuple(is_ipv6, protocol);
    entry.status = reader.take<uint16_t>();
    entry.timeout_s = reader.take<uint32_t>();
    entry.mark = reader.take<uint32_t>();
    entry.tcp_state = reader.take<uint8_t>();
    const uint8_t scales = reader.take<uint8_t>();
    entry.window_scale_original = scales >> 4;
    entry.window_scale_reply = scales & 15;
    entry.tcp_flags_original = reader.take<uint8_t>();
    entry.tcp_flags_reply = reader.take<uint8_t>();
  }
  if (!reader.isWhole()) return std::nullopt;
  bytes = reader.left();
  return message;
}

}  // namespace rainfront
