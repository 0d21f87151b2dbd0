// A front port owns every frame for this node's front MAC on one segment. Its thread takes frames from the NIC's ring, steers them, and
// hands local ones to the kernel through a veth pair; what the kernel sends out of the pair's inner end goes back to the NIC.
// One thread per port; the control plane publishes snapshots and never waits for it, but for the barrier in setVips.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../neighbor/announcer.h"
#include "../neighbor/kernel_guard.h"
#include "../tables/counters.h"
#include "../tables/steering_tables.h"
#include "../tables/vip_set.h"
#include "arp_socket.h"
#include "fd.h"
#include "fragment_park.h"
#include "receive_ring.h"
#include "transmit_ring.h"

namespace rainfront {

struct FrontPortOptions {
  std::string nic;    // the segment's interface
  std::string outer;  // the veth pair's end that is not the kernel's
  Mac front_mac;
  uint64_t* counters;  // RF_COUNTER_COUNT words that outlive the port
};

class FrontPort {
 public:
  // Throws PortError. Forwards nothing until tables, VIPs and a lease are set.
  explicit FrontPort(const FrontPortOptions& options);
  ~FrontPort();
  FrontPort(const FrontPort&) = delete;
  FrontPort& operator=(const FrontPort&) = delete;

  void setTables(std::shared_ptr<const SteeringTable> tables);

  // Publishes the VIPs. On return the thread no longer answers for VIPs that are not in `vips`; false if it did not confirm that in time:
  // it was put aside by the scheduler between a look at the VIPs and the sending of one frame.
  [[nodiscard]] bool setVips(VipSet vips);

  void setLease(uint64_t until_ns);

  // Announces all VIPs of this node again (after a merge).
  void announceAgain();

 private:
  void run();
  bool waitForArpEnd() const;
  void wake() const;
  int pollTimeout_ms(uint64_t now_ns) const;
  void drainWakeups();
  void announceDue();
  void announce(const ArpFrame& frame);
  bool serveArp();
  bool serveNic();
  bool serveKernel();
  void fromNic(const ReceivedFrame& frame);
  void steer(const ReceivedFrame& frame);
  void forward(std::span<uint8_t> frame, const rf_verdict& verdict);
  void fromKernel(const ReceivedFrame& frame);
  void arpFromNic(std::span<const uint8_t> frame);
  rf_tables tablesWith(const VipSet& vips);
  void completeChecksum(const ReceivedFrame& received);
  void sendArp(std::span<const uint8_t> frame);
  void clearErrors(int fd);
  void countDropped();
  void countPut(TransmitRing::Put put, std::size_t bytes, int frames_counter, int bytes_counter);

  const Mac front_mac_;
  Counters counters_;
  const KernelGuard guard_;
  Announcer announcer_;  // the thread's alone
  ArpSocket arp_;
  ReceiveRing nic_in_;
  ReceiveRing kernel_in_;
  TransmitRing nic_out_;
  TransmitRing kernel_out_;
  Fd wakeup_;

  std::atomic<std::shared_ptr<const SteeringTable>> tables_;
  std::atomic<std::shared_ptr<const VipSet>> vips_;
  std::atomic<uint64_t> lease_until_ns_{0};
  std::atomic<bool> announce_again_{false};
  std::atomic<bool> waiting_for_lease_{false};
  std::atomic<bool> stop_{false};
  // Odd while the thread deals with one ARP frame by a look at the VIPs and the lease that it took at the frame's start; even otherwise.
  std::atomic<uint64_t> arp_turn_{0};

  // The batch's snapshots; the thread's alone.
  std::shared_ptr<const SteeringTable> batch_tables_;
  FragmentTable fragments_;
  FragmentPark park_;
  std::shared_ptr<const VipSet> announced_vips_;
  uint64_t batch_now_ns_ = 0;

  std::thread thread_;
};

// CLOCK_BOOTTIME: goes on while the machine is suspended, so that a lease does not survive a sleep.
uint64_t monotonicNow_ns();

}  // namespace rainfront
