// Says where this node's VIPs are, as long as that is true: the VIPs and the lease as the control plane publishes them, and the announcements that
// follow. One thread speaks; the control plane never waits for it, but to know that nothing by an earlier list of VIPs is on its way out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "../tables/vip_set.h"
#include "announcer.h"

namespace rainfront {

class Speaker {
 public:
  using Send = std::function<void(const Announcement& announcement)>;

  explicit Speaker(const Mac& front_mac) : announcer_(front_mac), vips_(std::make_shared<const VipSet>()) {}

  // --- the control plane's ---

  void setVips(VipSet vips) { vips_.store(std::make_shared<const VipSet>(std::move(vips)), std::memory_order_seq_cst); }
  // False: the thread was put aside by the scheduler between a look at the VIPs and the sending of one frame.
  [[nodiscard]] bool waitForTurnEnd(uint64_t patience_ns) const;
  // True when the thread waits for this.
  bool setLease(uint64_t until_ns);
  void again() { again_ = true; }

  // --- the thread's ---

  // While one lives, the thread deals with a frame by what it sees of VIPs and lease now.
  class Turn {
   public:
    explicit Turn(Speaker& speaker) : turn_(speaker.turn_) { turn_.fetch_add(1, std::memory_order_seq_cst); }
    ~Turn() { turn_.fetch_add(1, std::memory_order_seq_cst); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    std::atomic<uint64_t>& turn_;
  };

  std::shared_ptr<const VipSet> vips() const { return vips_.load(std::memory_order_seq_cst); }
  const std::atomic<uint64_t>& leaseUntil_ns() const { return lease_until_ns_; }
  // Sends what is due and still true.
  void announceDue(uint64_t now_ns, const Send& send);
  void againNow(uint64_t now_ns) { announcer_.again(now_ns); }
  // When there is something to say next; nothing while that depends on a new lease.
  std::optional<uint64_t> nextDue_ns() const { return waiting_for_lease_.load() ? std::nullopt : announcer_.nextDue_ns(); }

 private:
  void announce(const Announcement& announcement, const Send& send);

  Announcer announcer_;  // the thread's alone
  std::shared_ptr<const VipSet> announced_vips_;
  std::atomic<std::shared_ptr<const VipSet>> vips_;
  std::atomic<uint64_t> lease_until_ns_{0};
  std::atomic<bool> again_{false};
  std::atomic<bool> waiting_for_lease_{false};
  // Odd during a turn.
  std::atomic<uint64_t> turn_{0};
};

}  // namespace rainfront
