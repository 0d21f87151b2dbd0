// A front port whose packet path is the XDP program on the NIC. What is left for user space is one thread that says where the VIPs are, and that keeps
// fragments which came before their first one. The program outlives the process, and falls silent with the lease.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "../neighbor/speaker.h"
#include "../port/fd.h"
#include "../port/frame_park.h"
#include "../port/packet_sender.h"
#include "../port/port.h"
#include "../tables/counters.h"
#include "attachment.h"
#include "program.h"

namespace rainfront {

class XdpPort final : public Port {
 public:
  // Throws PortError: RF_NIC_MISSING, RF_NO_PRIVILEGE, RF_XDP_LOAD, RF_XDP_TAKEN, RF_XDP_ATTACH, RF_PORT_SOCKET.
  explicit XdpPort(const PortOptions& options);
  ~XdpPort() override;

  void setTables(std::shared_ptr<const SteeringTable> tables) override;
  [[nodiscard]] bool setVips(VipSet vips) override;
  bool setLease(uint64_t until_ns) override;
  uint64_t leaseUntil_ns() const override { return program_->leaseUntil_ns(); }
  uint32_t memberSince(uint16_t node) const override { return program_->memberSince(node); }
  void announceAgain() override;
  void collectCounters() override;
  bool attachAgain() override;
  void remove() override;
  // Generic: the NIC's driver cannot run it, so it runs behind it, and slower.
  std::string mode() const override { return is_generic_ ? "xdp_generic" : "xdp"; }

 private:
  XdpPort(const PortOptions& options, std::optional<AttachedXdp> before);
  void run();
  void stop();
  void wake() const;
  int pollTimeout_ms(uint64_t now_ns) const;
  void onPunt(std::span<const uint8_t> frame);
  void onTold(const rf_told_event& event);
  void retryFlows(uint64_t now_ns);
  void retryParked(uint64_t now_ns);
  void relay(std::span<const uint8_t> frame);
  void announce(const Announcement& announcement);

  const unsigned nic_index_;
  uint64_t* const shared_counters_;
  std::vector<uint64_t> own_words_;
  Counters counters_;  // what the thread does; the program counts for itself
  const std::shared_ptr<FlowExchange> flows_;
  const std::unique_ptr<XdpProgram> program_;
  std::atomic<bool> is_generic_{false};
  Speaker speaker_;
  PacketSender nic_out_;
  Fd wakeup_;

  std::atomic<bool> stop_{false};

  // The thread's alone.
  FragmentPark park_;
  FlowPark flow_park_;
  uint64_t next_retry_ns_ = 0;

  std::thread thread_;
};

}  // namespace rainfront
