#include "conntrack_share.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "../port/clock.h"

namespace rainfront {

namespace {

// The others have read their tables and told all of them by then.
constexpr uint64_t kTellingPatience_ns = 60'000'000'000;

// Views that follow each other faster than a table is read; further ones are not remembered.
constexpr std::size_t kTablesBetween_max = 8;

// Connections that both sides have spoken on. The others are over in a moment, or begin again.
bool isWorthKeeping(const ConntrackEntry& entry) { return (entry.status & IPS_ASSURED) != 0; }

std::size_t slotOf(const ConntrackEntry& entry, const Successors& successors) {
  const rf_flow_key key = flowKeyOf(entry.original);
  return rf_maglev_slot(rf_flow_hash(&key, &successors.now.secret));
}

bool isSameSharing(const SteeringTable& a, const SteeringTable& b) {
  return a.has_view == b.has_view && a.slots == b.slots && a.secret.k0 == b.secret.k0 && a.secret.k1 == b.secret.k1;
}

// 0: nobody.
uint16_t handlerOf(const ConntrackEntry& entry, const Successors& successors) {
  return successors.now.has_view ? successors.now.slots[slotOf(entry, successors)] : uint16_t{0};
}

}  // namespace

ConntrackShare::ConntrackShare(const Limits& limits, std::function<void()> on_waiting)
    : on_waiting_(std::move(on_waiting)),
      wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      outbox_(limits.waiting_max),
      replicas_(limits.replicas_max),
      thread_([this] { run(); }) {}

ConntrackShare::~ConntrackShare() {
  stop_ = true;
  wake();
  thread_.join();
}

void ConntrackShare::wake() const {
  const uint64_t one = 1;
  (void)!::write(wakeup_.get(), &one, sizeof one);
}

void ConntrackShare::become(std::shared_ptr<const Successors> successors) {
  std::vector<ConntrackEntry> ours;
  {
    const std::lock_guard guard(lock_);
    if (since_told_.size() < kTablesBetween_max) since_told_.push_back(successors);
    const bool is_same = successors_ != nullptr && isSameSharing(successors_->now, successors->now);
    successors_ = std::move(successors);
    if (!is_same) {
      outbox_.clear();
      replicas_.toldAnew();
    }
    forget_ns_ = monotonicNow_ns() + kTellingPatience_ns;
    ours = replicas_.takeIf([&](const ConntrackEntry& entry) { return handlerOf(entry, *successors_) == successors_->now.self; });
  }
  takeOver(std::move(ours));
  is_outdated_ = true;
  wake();
}

void ConntrackShare::takeOver(std::vector<ConntrackEntry> entries) {
  if (entries.empty()) return;
  const std::size_t refused = putConntrack(entries);
  const std::lock_guard guard(lock_);
  figures_.taken_over += entries.size() - refused;
  figures_.taken_over_refused += refused;
}

std::vector<ConntrackShare::Delivery> ConntrackShare::take(std::size_t bytes_max) {
  const std::lock_guard guard(lock_);
  std::vector<Delivery> deliveries;
  const std::size_t before = outbox_.size();
  for (const uint16_t node : outbox_.nodes()) deliveries.push_back({node, outbox_.take(node, bytes_max)});
  figures_.told += before - outbox_.size();
  return deliveries;
}

void ConntrackShare::receive(std::span<const uint8_t> records) {
  {
    const std::lock_guard guard(lock_);
    const auto received = replicas_.receive(records);
    figures_.kept += received.kept;
    figures_.kept_full += received.full;
    figures_.malformed += received.malformed;
    if (successors_ == nullptr) return;
    auto ours = replicas_.takeIf([&](const ConntrackEntry& entry) { return handlerOf(entry, *successors_) == successors_->now.self; });
    arrived_.insert(arrived_.end(), std::make_move_iterator(ours.begin()), std::make_move_iterator(ours.end()));
    if (arrived_.empty()) return;
  }
  wake();
}

ConntrackShare::Figures ConntrackShare::figures() const {
  const std::lock_guard guard(lock_);
  Figures figures = figures_;
  figures.waiting = outbox_.size();
  figures.replicas = replicas_.size();
  return figures;
}

void ConntrackShare::run() {
  while (!stop_.load()) {
    std::array<pollfd, 2> waits = {{{wakeup_.get(), POLLIN, 0}, {events_.fd(), POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), pollTimeout_ms());
    forgetIfDue();
    uint64_t count = 0;
    if (waits[0].revents != 0) (void)!::read(wakeup_.get(), &count, sizeof count);
    if (!events_.take([this](const ConntrackMessage& message) { tell(message, Telling::event); })) {
      const std::lock_guard guard(lock_);
      figures_.events_lost++;
      is_outdated_ = true;
    }
    try {
      takeOver(arrived());
      if (is_outdated_.exchange(false)) tellAll();
    } catch (const PortError&) {
      // The next change of the view, or loss of events, reads it again.
      const std::lock_guard guard(lock_);
      figures_.reads_failed++;
    }
  }
}

int ConntrackShare::pollTimeout_ms() const {
  const std::lock_guard guard(lock_);
  if (forget_ns_ == 0) return -1;
  const uint64_t now_ns = monotonicNow_ns();
  return now_ns >= forget_ns_ ? 0 : static_cast<int>((forget_ns_ - now_ns) / 1'000'000 + 1);
}

void ConntrackShare::forgetIfDue() {
  const std::lock_guard guard(lock_);
  if (forget_ns_ == 0 || monotonicNow_ns() < forget_ns_) return;
  forget_ns_ = 0;
  replicas_.dropUntold();
}

std::vector<ConntrackEntry> ConntrackShare::arrived() {
  const std::lock_guard guard(lock_);
  return std::exchange(arrived_, {});
}

void ConntrackShare::tellAll() {
  {
    const std::lock_guard guard(lock_);
    before_ = std::exchange(since_told_, {successors_});
  }
  if (!dumpConntrack([this](const ConntrackMessage& message) { tell(message, Telling::dump); })) is_outdated_ = true;
}

void ConntrackShare::tell(const ConntrackMessage& message, Telling telling) {
  if (keepForOther(message, telling)) on_waiting_();
}

// True: nothing was waiting before.
bool ConntrackShare::keepForOther(const ConntrackMessage& message, Telling telling) {
  if (!isWorthKeeping(message.entry)) return false;
  const std::lock_guard guard(lock_);
  const uint16_t other = whoIsTold(message.entry, telling);
  if (other == 0) return false;
  const bool was_empty = outbox_.size() == 0;
  const bool has_room = outbox_.put(other, message);
  if (!has_room) figures_.told_full++;
  return was_empty && has_room;
}

// What this node's firewall still knows of flows that have long been others' is theirs to tell.
uint16_t ConntrackShare::whoIsTold(const ConntrackEntry& entry, Telling telling) const {
  if (successors_ == nullptr || !successors_->now.has_view) return 0;
  const uint16_t self = successors_->now.self;
  const uint16_t handler = handlerOf(entry, *successors_);
  if (handler == self) return successors_->without_self[slotOf(entry, *successors_)];
  if (telling != Telling::dump) return 0;
  const bool was_ours = std::any_of(before_.begin(), before_.end(), [&](const auto& one) { return one != nullptr && handlerOf(entry, *one) == self; });
  return was_ours ? handler : uint16_t{0};
}

}  // namespace rainfront
