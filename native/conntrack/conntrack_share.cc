#include "conntrack_share.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "../port/clock.h"

namespace rainfront {

namespace {

constexpr uint64_t kSecond_ns = 1'000'000'000;
// All is told anew so often: what was lost on the way is mended by that,
constexpr uint64_t kTellEvery_ns = 60 * kSecond_ns;
// and what nobody has told for several times as long is no more.
constexpr uint64_t kUntold_ns_max = 3 * kTellEvery_ns;
// The firewall's table is not read again sooner, whatever happens.
constexpr uint64_t kTellGap_ns = kSecond_ns;
constexpr uint64_t kRetry_ns = kSecond_ns;
// A connection that has ended and that nobody told as ended lets packets through for no longer; one that goes on is renewed by its next packet.
constexpr uint32_t kTakenOver_s_max = 300;
// And so long this node's firewall keeps what it has given away.
constexpr uint32_t kGivenAway_s = 120;
// Views that follow each other faster than a table is read; further ones are not remembered.
constexpr std::size_t kTablesBetween_max = 8;

// Connections that both sides have spoken on: the others are over in a moment, or begin again. Not of protocols with more state than is told.
bool isWorthKeeping(const ConntrackEntry& entry) {
  const uint8_t protocol = entry.original.protocol;
  return (entry.status & IPS_ASSURED) != 0 && protocol != IPPROTO_SCTP && protocol != IPPROTO_DCCP;
}

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

bool isOurs(const ConntrackEntry& entry, const Successors& successors) { return handlerOf(entry, successors) == successors.now.self; }

}  // namespace

ConntrackShare::ConntrackShare(const Limits& limits, std::function<void()> on_waiting)
    : on_waiting_(std::move(on_waiting)), wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), outbox_(limits.waiting_max), replicas_(limits.replicas_max) {
  if (wakeup_.get() < 0) throw PortError("RF_CONNTRACK", "no descriptor to wake the firewall's reader by", errno);
  thread_ = std::thread([this] { run(); });
}

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
  {
    const std::lock_guard guard(lock_);
    if (since_told_.size() < kTablesBetween_max) since_told_.push_back(successors);
    if (successors_ == nullptr || !isSameSharing(successors_->now, successors->now)) outbox_.clear();
    successors_ = std::move(successors);
    has_become_ = true;
  }
  wake();
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
    const auto isOursNow = [this](const ConntrackEntry& entry) { return successors_ != nullptr && isOurs(entry, *successors_); };
    const auto received = replicas_.receive(records, monotonicNow_ns(), isOursNow, arrived_);
    figures_.kept += received.kept;
    figures_.kept_full += received.full;
    figures_.malformed += received.malformed;
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
  ::pthread_setname_np(::pthread_self(), "rf-conntrack");
  while (!stop_.load()) {
    std::array<pollfd, 2> waits = {{{wakeup_.get(), POLLIN, 0}, {events_.fd(), POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), pollTimeout_ms());
    uint64_t count = 0;
    if (waits[0].revents != 0) (void)!::read(wakeup_.get(), &count, sizeof count);
    try {
      serve();
    } catch (const std::exception&) {
      // The kernel, or memory: soon again.
      retry_ns_ = monotonicNow_ns() + kRetry_ns;
      const std::lock_guard guard(lock_);
      figures_.failed++;
    }
  }
}

void ConntrackShare::serve() {
  const bool is_whole = events_.take([this](const ConntrackMessage& message) { tell(message, Telling::event); });
  const uint64_t now_ns = monotonicNow_ns();
  if (!is_whole) tell_all_ns_ = std::min(tell_all_ns_, now_ns + kTellGap_ns);
  {
    const std::lock_guard guard(lock_);
    if (!is_whole) figures_.events_lost++;
    if (std::exchange(has_become_, false)) {
      tell_all_ns_ = now_ns;
      auto ours = replicas_.takeIf([this](const ConntrackEntry& entry) { return isOurs(entry, *successors_); });
      arrived_.insert(arrived_.end(), std::make_move_iterator(ours.begin()), std::make_move_iterator(ours.end()));
    }
  }
  if (now_ns < retry_ns_) return;
  takeOver();
  if (now_ns >= tell_all_ns_) tellAll();
  retry_ns_ = 0;
}

void ConntrackShare::takeOver() {
  std::vector<ConntrackEntry> entries;
  {
    const std::lock_guard guard(lock_);
    entries = std::exchange(arrived_, {});
  }
  if (entries.empty()) return;
  for (ConntrackEntry& entry : entries) entry.timeout_s = std::min(entry.timeout_s, kTakenOver_s_max);
  try {
    const std::size_t refused = putConntrack(entries);
    const std::lock_guard guard(lock_);
    figures_.taken_over += entries.size() - refused;
    figures_.taken_over_refused += refused;
  } catch (...) {
    const std::lock_guard guard(lock_);
    arrived_.insert(arrived_.end(), entries.begin(), entries.end());
    throw;
  }
}

void ConntrackShare::tellAll() {
  const uint64_t begun_ns = monotonicNow_ns();
  {
    const std::lock_guard guard(lock_);
    const auto newer = std::exchange(since_told_, {successors_});
    // Also those of a reading that failed.
    std::copy_if(newer.begin(), newer.end(), std::back_inserter(before_), [this](const auto& one) { return std::find(before_.begin(), before_.end(), one) == before_.end(); });
    replicas_.dropToldBefore(begun_ns - std::min(begun_ns, kUntold_ns_max));
  }
  given_away_.clear();
  const bool is_whole = dumpConntrack([this](const ConntrackMessage& message) { tell(message, Telling::dump); });
  tell_all_ns_ = begun_ns + (is_whole ? kTellEvery_ns : kTellGap_ns);
  if (!is_whole) return;
  before_.clear();
  // Whoever takes them brings them up to date; here nobody will say when they end.
  for (ConntrackEntry& entry : given_away_) entry.timeout_s = kGivenAway_s;
  (void)putConntrack(std::exchange(given_away_, {}), Put::update);
}

void ConntrackShare::tell(const ConntrackMessage& message, Telling telling) {
  if (isWorthKeeping(message.entry) && keepForOther(message, telling)) on_waiting_();
}

// True: nothing was waiting before.
bool ConntrackShare::keepForOther(const ConntrackMessage& message, Telling telling) {
  const std::lock_guard guard(lock_);
  const uint16_t other = whoIsTold(message.entry, telling);
  if (other == 0) return false;
  const bool was_empty = outbox_.size() == 0;
  const bool has_room = outbox_.put(other, message);
  if (!has_room) figures_.told_full++;
  return was_empty && has_room;
}

// What this node's firewall still knows of flows that have long been others' is theirs to tell.
uint16_t ConntrackShare::whoIsTold(const ConntrackEntry& entry, Telling telling) {
  if (successors_ == nullptr || !successors_->now.has_view) return 0;
  if (isOurs(entry, *successors_)) return successors_->without_self[slotOf(entry, *successors_)];
  const bool was_ours = telling == Telling::dump && std::any_of(before_.begin(), before_.end(), [&](const auto& one) { return one != nullptr && isOurs(entry, *one); });
  if (!was_ours) return 0;
  given_away_.push_back(entry);
  return handlerOf(entry, *successors_);
}

int ConntrackShare::pollTimeout_ms() const {
  const uint64_t now_ns = monotonicNow_ns();
  const uint64_t due_ns = retry_ns_ != 0 ? retry_ns_ : tell_all_ns_;
  if (due_ns == kNever_ns) return -1;
  return now_ns >= due_ns ? 0 : static_cast<int>((due_ns - now_ns) / 1'000'000 + 1);
}

}  // namespace rainfront
