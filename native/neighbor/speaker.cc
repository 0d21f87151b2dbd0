#include "speaker.h"

#include <time.h>

#include "../port/clock.h"

namespace rainfront {

namespace {

constexpr timespec kPoll = {0, 50'000};

}  // namespace

bool Speaker::waitForTurnEnd(uint64_t patience_ns) const {
  const uint64_t seen = turn_.load(std::memory_order_seq_cst);
  if (seen % 2 == 0) return true;
  const uint64_t until_ns = monotonicNow_ns() + patience_ns;
  while (turn_.load(std::memory_order_acquire) == seen) {
    if (monotonicNow_ns() > until_ns) return false;
    // Sleep rather than yield: the caller may have a higher priority than the thread that it waits for, on the same CPU.
    ::nanosleep(&kPoll, nullptr);
  }
  return true;
}

bool Speaker::setLease(uint64_t until_ns) {
  lease_until_ns_.store(until_ns, std::memory_order_seq_cst);
  return waiting_for_lease_.exchange(false);
}

void Speaker::announceDue(uint64_t now_ns, const Send& send) {
  const auto published = vips();
  if (announced_vips_ != published) {
    announcer_.update(*published);
    announced_vips_ = published;
  }
  if (again_.exchange(false)) announcer_.again(now_ns);
  const auto next_ns = announcer_.nextDue_ns();
  if (!next_ns || *next_ns > now_ns) return;
  waiting_for_lease_ = true;  // before the lease is read: setLease either is seen here or sees this
  const uint64_t lease_until_ns = lease_until_ns_.load(std::memory_order_seq_cst);
  if (now_ns < lease_until_ns) waiting_for_lease_ = false;
  for (const Announcement& announcement : announcer_.due(lease_until_ns, now_ns)) announce(announcement, send);
}

// One announcement, if it is still true: VIPs, lease and clock are looked at again for each.
void Speaker::announce(const Announcement& announcement, const Send& send) {
  const Turn turn(*this);
  const auto published = vips();
  const Vip* vip = published->find(announcement.vip);
  const bool is_true = vip != nullptr && vip->state.owned && monotonicNow_ns() < lease_until_ns_.load(std::memory_order_seq_cst);
  if (is_true) send(announcement);
}

}  // namespace rainfront
