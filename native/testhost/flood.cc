// `flood`: sends 64-byte UDP frames of many flows through a gateway as fast as the gateway lets them through, and counts them at the
// far side. A closed loop: no more than a window of frames is on its way, so a slow gateway slows the sender instead of filling queues,
// and every frame that does not arrive is a loss. Used by the benches.
#include <sched.h>
#include <string.h>

#include <array>
#include <fstream>
#include <optional>
#include <span>

#include "../neighbor/arp.h"
#include "../port/transmit_ring.h"
#include "../steer/checksum.h"
#include "../steer/ip.h"
#include "arguments.h"
#include "clock.h"
#include "json.h"
#include "subcommands.h"

namespace testhost {

namespace {

constexpr uint32_t kFrameBytes = 60;  // 64 on a wire, with the frame check sequence
constexpr uint32_t kBatch = 64;
constexpr uint32_t kFlowsPerSource = 50'000;
constexpr Nanoseconds kPatience_ns = 300'000'000;

struct Settings {
  std::string interface;       // frames leave here
  std::string count_interface; // and arrive here; empty: not counted, the window is off
  Mac source_mac, destination_mac;
  Address source_ip, destination_ip;
  uint32_t flows, window;
  Nanoseconds duration_ns;
};

// Frames that an interface received, as its driver counts them.
class ReceiveCounter {
 public:
  explicit ReceiveCounter(const std::string& interface) : path_("/sys/class/net/" + interface + "/statistics/rx_packets"), start_(read()) {}
  uint64_t sinceStart() const { return read() - start_; }

 private:
  uint64_t read() const {
    std::ifstream file(path_);
    uint64_t count = 0;
    if (!(file >> count)) throw std::runtime_error("cannot read " + path_);
    return count;
  }

  std::string path_;
  uint64_t start_;
};

class Frame {
 public:
  explicit Frame(const Settings& settings) {
    uint8_t* p = bytes_.data();
    memcpy(p, settings.destination_mac.data(), 6);
    memcpy(p + 6, settings.source_mac.data(), 6);
    rf_store16(p + 12, RF_ETHERTYPE_IPV4);
    p[14] = 0x45;
    rf_store16(p + 16, kFrameBytes - 14);
    p[22] = 64;
    p[23] = RF_PROTO_UDP;
    rainfront::store32(p + 30, settings.destination_ip);
    first_source_ = settings.source_ip;
    setSource(0);
    rf_store16(p + 36, 9);  // discard
    rf_store16(p + 38, kFrameBytes - 34);
  }

  // UDP checksum 0 ("none"), so only the port differs from flow to flow of one source.
  std::span<const uint8_t> ofFlow(uint32_t flow) {
    if (flow / kFlowsPerSource != source_) setSource(flow / kFlowsPerSource);
    rf_store16(bytes_.data() + 34, static_cast<uint16_t>(1024 + flow % kFlowsPerSource));
    return bytes_;
  }

 private:
  void setSource(uint32_t source) {
    uint8_t* p = bytes_.data();
    source_ = source;
    rainfront::store32(p + 26, first_source_ + source);
    rf_store16(p + 24, 0);
    rf_store16(p + 24, static_cast<uint16_t>(~rf_checksum_fold(rf_checksum_add(0, p + 14, 20))));
  }

  Address first_source_ = 0;
  uint32_t source_ = 0;
  std::array<uint8_t, kFrameBytes> bytes_{};
};

class Flood {
 public:
  explicit Flood(const Settings& settings) : settings_(settings), ring_(settings.interface), frame_(settings) {
    if (!settings.count_interface.empty()) received_.emplace(settings.count_interface);
  }

  void run() {
    const Nanoseconds start = now_ns();
    while (now_ns() - start < settings_.duration_ns) {
      sendBatch();
      if (received_ && sent_ - settled_ >= settings_.window) awaitRoom();
    }
    elapsed_ns_ = now_ns() - start;
    while (received_ && settled_ < sent_ && awaitProgress()) continue;
  }

  void report() const {
    const uint64_t received = received_ ? received_->sinceStart() : 0;
    Json json;
    json.open('{').key("sent").count(sent_).key("received").count(received).key("elapsed_ms").ms(elapsed_ns_);
    json.key("stalls").count(stalls_).close('}');
    json.printLine();
  }

 private:
  void sendBatch() {
    for (uint32_t i = 0; i < kBatch; i++) {
      if (ring_.put(frame_.ofFlow(next_flow_)) != rainfront::TransmitRing::Put::ok) break;
      next_flow_ = (next_flow_ + 1) % settings_.flows;
      sent_++;
    }
    sent_ -= ring_.flush();
  }

  void awaitRoom() {
    while (sent_ - settled_ > settings_.window / 2) {
      if (awaitProgress()) continue;
      // What has not arrived by now never will: those frames are lost, and the loop goes on without them.
      stalls_++;
      lost_ = sent_ - received_->sinceStart();
      settled_ = sent_;
    }
  }

  // True when more frames arrived within the time that one may take.
  bool awaitProgress() {
    const uint64_t before = settled_;
    const Nanoseconds until = now_ns() + kPatience_ns;
    while (now_ns() < until) {
      settled_ = received_->sinceStart() + lost_;
      if (settled_ > before) return true;
      sched_yield();
    }
    return false;
  }

  const Settings settings_;
  rainfront::TransmitRing ring_;
  Frame frame_;
  std::optional<ReceiveCounter> received_;
  uint64_t sent_ = 0, settled_ = 0, lost_ = 0, stalls_ = 0;
  uint32_t next_flow_ = 0;
  Nanoseconds elapsed_ns_ = 0;
};

}  // namespace

int flood(int argc, char** argv) {
  const Arguments arguments(argc, argv, {"--interface", "--count-interface", "--source-mac", "--destination-mac", "--source-ip", "--destination-ip",
                                         "--flows", "--window", "--duration-ms"});
  Settings settings;
  settings.interface = arguments.text("--interface");
  settings.count_interface = arguments.optional("--count-interface");
  settings.source_mac = arguments.mac("--source-mac");
  settings.destination_mac = arguments.mac("--destination-mac");
  settings.source_ip = arguments.address("--source-ip");
  settings.destination_ip = arguments.address("--destination-ip");
  settings.flows = static_cast<uint32_t>(arguments.number("--flows", 1000, 1, 1'000'000));
  settings.window = static_cast<uint32_t>(arguments.number("--window", 1024, 1, 65'536));
  settings.duration_ns = arguments.number("--duration-ms", 5'000, 1, 600'000) * 1'000'000;
  Flood flood(settings);
  flood.run();
  flood.report();
  return 0;
}

}  // namespace testhost
