// The XDP program in the kernel, with its maps: loaded from the binary itself, and its tables written. Attaching it to a NIC is attachment.h's;
// frames can also be run through it (BPF_PROG_TEST_RUN), which is how the vectors check it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../neighbor/arp.h"
#include "../port/fd.h"
#include "../steer/counters.h"
#include "../tables/steering_tables.h"
#include "layout.h"
#include "xdp_flows.h"

struct bpf_object;
struct ring_buffer;

namespace rainfront {

class XdpProgram {
 public:
  // `flows`: none where flows are not assigned. `earlier_maps`: of a program that is to be replaced; its tables are gone on with if they are laid out as ours, and so are its fragments and counters. Throws
  // PortError: RF_NO_PRIVILEGE, RF_XDP_LOAD.
  explicit XdpProgram(const Mac& front_mac, const XdpFlows* flows = nullptr, std::span<const Fd> earlier_maps = {});

  // Of the port that it is for. Before it is attached.
  void setFrontMac(const Mac& front_mac);
  // How frames leave by the NIC that they came in by: redirected to it, or (false) by XDP_TX.
  void setRedirects(bool redirects);
  // Whole, or not at all: the table before serves until the new one is written.
  void setTables(const SteeringTable& table);
  // Who owns them is in force at once, whatever becomes of addresses that are new.
  void setVips(const VipSet& vips);
  void setLease(uint64_t until_ns);
  uint64_t leaseUntil_ns() const;

  // Waits for programs that look at VIPs as they were before setVips. False: one was not done in time.
  [[nodiscard]] bool waitForAnswers(uint64_t patience_ns) const;

  // Of all CPUs together, by enum rf_counter.
  std::vector<uint64_t> counters() const;

  // Whose tables these are.
  uint16_t self() const;
  // Where flows are assigned, else 0: see SteeringTable.
  uint32_t memberSince(uint16_t node) const;

  // The node that the first fragment of this datagram went to, or 0.
  uint16_t fragmentNode(const rf_fragment_key& key, uint64_t now_ns) const;

  void forgetFragments();

  // What the program has for user space; frames are gone afterwards.
  struct Events {
    std::function<void()> on_conflict;
    std::function<void(std::span<const uint8_t> frame)> on_punt;
    std::function<void(const rf_told_event& event)> on_told;
  };
  void takeEvents(const Events& events);
  // Readable when there are some.
  int eventsFd() const;

  int fd() const;

  // What the kernel's verifier looked at to let the program in; it gives up at a million. 0: a kernel before 5.16 does not tell.
  uint32_t verifiedInstructions() const;

  static constexpr const char* kName = "rf_xdp";

  struct Run {
    int action;  // enum xdp_action
    std::vector<uint8_t> frame;
  };
  // One frame, of 14 bytes or more, at that time by CLOCK_BOOTTIME: what would become of it.
  Run run(std::span<const uint8_t> frame, uint64_t now_ns);
  // Of a frame that is handled here, with consequences: as if it came in by that NIC now. False: it did not get that far.
  [[nodiscard]] bool receive(std::span<const uint8_t> frame, unsigned nic_index);
  // As if it came in now, but that it goes nowhere: a relay's frame is as it is to be sent. The program counts it.
  enum class Fate { passed, relayed, dropped };
  struct Steered {
    Fate fate;
    std::vector<uint8_t> out;
  };
  Steered steer(std::span<const uint8_t> frame);

 private:
  struct Close {
    void operator()(bpf_object* object) const;
  };

  struct CloseEvents {
    void operator()(ring_buffer* events) const;
  };

  static int handOn(void* context, void* data, std::size_t size);
  void handOn(const rf_event_head& head, std::span<const uint8_t> data) const;
  int mapFd(const char* name) const;
  void requireLayouts() const;
  void takeOver(std::span<const Fd> earlier_maps);
  void shareFlows(const XdpFlows& flows);
  void readPlaces();
  void writeServices(uint32_t index, const ServiceSet& wanted);
  void noteIpv6();
  uint32_t freePlace() const;
  uint64_t& start(uint32_t place) const;
  rf_port_state& state() const;
  rf_view& view(uint32_t index) const;
  rf_assignment_view& assignment(uint32_t index) const;

  std::unique_ptr<bpf_object, Close> object_;
  std::unique_ptr<ring_buffer, CloseEvents> events_;
  const Events* on_events_ = nullptr;  // during takeEvents
  unsigned events_taken_ = 0;
  Mapping state_;
  Mapping views_;
  Mapping assignments_;
  Mapping turns_;
  Mapping starts_;
  std::size_t cpus_;
  std::array<std::optional<ServiceSet>, 2> services_;  // of both views, as the kernel's map has them; nothing: not known
  std::map<Address, uint32_t> places_;  // of VIPs in `starts_`, as the kernel's map has them
};

}  // namespace rainfront
