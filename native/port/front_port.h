// A front port owns every frame for this node's front MAC on one segment. Its thread takes frames from the NIC's ring, steers them, and
// hands local ones to the kernel through a veth pair; what the kernel sends out of the pair's inner end goes back to the NIC.
// One thread per port; the control plane publishes snapshots and never waits for it, but for the barriers in setVips and setLease.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../neighbor/kernel_guard.h"
#include "../neighbor/speaker.h"
#include "../tables/counters.h"
#include "../tables/steering_tables.h"
#include "../tables/vip_set.h"
#include "fd.h"
#include "frame_park.h"
#include "neighbor_socket.h"
#include "port.h"
#include "receive_ring.h"
#include "transmit_ring.h"

namespace rainfront {

class FrontPort final : public Port {
 public:
  // Throws PortError. Forwards nothing until tables, VIPs and a lease are set.
  explicit FrontPort(const PortOptions& options);
  ~FrontPort() override;

  void setTables(std::shared_ptr<const SteeringTable> tables) override;

  [[nodiscard]] bool setVips(VipSet vips) override;
  bool setLease(uint64_t until_ns) override;
  void announceAgain() override;
  std::string mode() const override { return "af_packet"; }

 private:
  void run();
  void wake() const;
  int pollTimeout_ms(uint64_t now_ns) const;
  void drainWakeups();
  bool serveNeighbors();
  bool serveNic();
  bool serveKernel();
  void fromNic(const ReceivedFrame& frame);
  // Again: at a frame that has waited.
  enum class Look { first, again };
  void steer(const ReceivedFrame& frame, Look look);
  void countReceived(std::span<const uint8_t> frame);
  void forward(std::span<uint8_t> frame, const rf_verdict& verdict);
  void fromKernel(const ReceivedFrame& frame);
  void fromNeighbor(std::span<const uint8_t> frame);
  rf_verdict answer(std::span<const uint8_t> frame, rf_work& work);
  rf_tables tablesWith(const VipSet& vips);
  void completeChecksum(const ReceivedFrame& received);
  [[nodiscard]] bool sendNeighbor(std::span<const uint8_t> frame);
  void clearErrors(int fd);
  void countDropped();
  void keepWaiting(const rf_work& work, const rf_verdict& verdict, std::span<const uint8_t> frame, Look look);
  void retryParked();
  void countPut(TransmitRing::Put put, std::size_t bytes, int frames_counter, int bytes_counter);

  const Mac front_mac_;
  const std::shared_ptr<FlowExchange> flows_;
  FlowMap* const flow_map_;  // of flows_
  Counters counters_;
  const KernelGuard guard_;
  Speaker speaker_;
  NeighborSocket neighbors_;
  ReceiveRing nic_in_;
  ReceiveRing kernel_in_;
  TransmitRing nic_out_;
  TransmitRing kernel_out_;
  Fd wakeup_;

  std::atomic<std::shared_ptr<const SteeringTable>> tables_;
  std::atomic<bool> stop_{false};

  // The thread's alone: the batch's snapshots, and what it remembers.
  std::shared_ptr<const SteeringTable> batch_tables_;
  std::shared_ptr<const VipSet> batch_vips_;
  uint64_t batch_now_ns_ = 0;
  FragmentTable fragments_;
  FragmentPark park_;
  FlowPark flow_park_;
  uint64_t next_retry_ns_ = 0;

  std::thread thread_;
};

}  // namespace rainfront
