#include "conntrack_share.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include "../port/clock.h"
#include "conntrack_lookup.h"

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
// While it drains, what is still here is looked for so often: whatever was lost on the way is moved then.
constexpr uint64_t kMoveEvery_ns = kSecond_ns;
// What it has given away so is in nobody's way any more; what is under way inside this node is through by then.
constexpr uint32_t kMoved_s = 5;
// Views that follow each other faster than a table is read; further ones are not remembered.
constexpr std::size_t kTablesBetween_max = 8;
// Flows that are nobody's, and whose copies are still to be looked for.
constexpr std::size_t kNobodys_max = 4096;
// Handshakes that are not through, of flows that go to another node: a flood makes many, and what goes on comes first.
constexpr std::size_t kHandshakes_max = 4096;

// Connections that both sides have spoken on: the others are over in a moment, or begin again. Not of protocols with more state than is told.
bool isWorthKeeping(const ConntrackEntry& entry) {
  const uint8_t protocol = entry.original.protocol;
  return (entry.status & IPS_ASSURED) != 0 && protocol != IPPROTO_SCTP && protocol != IPPROTO_DCCP;
}

// Also of those that are not worth keeping where a node dies; but not of those that are over.
bool isMovable(const ConntrackEntry& entry) {
  const uint8_t protocol = entry.original.protocol;
  return !isOver(entry) && protocol != IPPROTO_SCTP && protocol != IPPROTO_DCCP;
}

// Answered, and perhaps no more than that: who handles it from now on lets the rest of a handshake through only if it knows of this. One that is not answered begins again.
bool isAnswered(const ConntrackEntry& entry) { return isMovable(entry) && (entry.status & IPS_SEEN_REPLY) != 0; }

bool isTranslated(const rf_flow_key& original, const rf_flow_key& reply) { return flowWords(original) != flowWords(reply); }

}  // namespace

ConntrackShare::ConntrackShare(const Limits& limits, std::shared_ptr<FlowExchange> flows, std::function<void()> on_waiting)
    : limits_(limits),
      flows_(std::move(flows)),
      on_waiting_(std::move(on_waiting)),
      wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      copies_(limits.waiting_max),
      moves_(limits.waiting_max),
      taken_(limits.waiting_max),
      replicas_(limits.replicas_max) {
  if (wakeup_.get() < 0) throw PortError("RF_CONNTRACK", "no descriptor to wake the firewall's reader by", errno);
  thread_ = std::thread([this] { run(); });
  if (flows_ != nullptr) flows_->hearNobodys([this](std::span<const rf_flow_key> nobodys) { wantNobodys(nobodys); });
}

ConntrackShare::~ConntrackShare() {
  if (flows_ != nullptr) flows_->hearNobodys(nullptr);
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
    if (successors_ == nullptr || !isSameSharing(successors_->now, successors->now)) copies_.clear();
    const bool is_other = successors_ != nullptr && (!isSameSharing(successors_->now, successors->now) || successors_->now.members != successors->now.members);
    if (is_other) {
      previous_ = successors_;
      const auto gone = successors_->now.members & ~successors->now.members;
      for (std::size_t node = gone._Find_first(); node < gone.size(); node = gone._Find_next(node)) last_with_[static_cast<uint16_t>(node)] = successors_;
    }
    successors_ = std::move(successors);
    has_become_ = true;
  }
  wake();
}

void ConntrackShare::drain(bool is_draining) {
  {
    const std::lock_guard guard(lock_);
    if (is_draining && !is_draining_) figures_.moves_looked = figures_.unmoved = 0;
    // Where the hash decides, others have its flows by the table, and are told of their connections by this.
    if (is_draining && flows_ == nullptr) has_become_ = true;
    is_draining_ = is_draining;
    if (!is_draining) moves_.clear();
  }
  wake();
}

std::size_t ConntrackShare::waiting() const { return copies_.size() + moves_.size() + taken_.size(); }

std::vector<ConntrackShare::Delivery> ConntrackShare::take(std::size_t bytes_max) {
  const std::lock_guard guard(lock_);
  std::vector<Delivery> deliveries;
  const std::size_t before = waiting();
  // What others wait for first.
  for (const auto& [purpose, outbox] : {std::pair{Purpose::taken, &taken_}, std::pair{Purpose::move, &moves_}, std::pair{Purpose::copy, &copies_}}) {
    for (const uint16_t node : outbox->nodes()) deliveries.push_back({node, purpose, outbox->take(node, bytes_max)});
  }
  figures_.told += before - waiting();
  return deliveries;
}

// It is in no view, or has begun anew since it told this.
bool ConntrackShare::isGoneSince(uint16_t handler, uint32_t told_epoch) const {
  // The packet path hears sooner than this share that this node is in no view: then nobody is gone for certain.
  if (told_epoch == 0 || flows_->memberSince(flows_->self()) == 0) return false;
  const uint32_t since = flows_->memberSince(handler);
  return since == 0 || told_epoch < since;
}

// Where flows are assigned, a copy is for when its node is gone, whoever is its flow's authority.
bool ConntrackShare::isToTakeOver(const ConntrackEntry& entry, uint16_t handler, uint32_t told_epoch) const {
  if (successors_ == nullptr || !successors_->now.has_view) return false;
  if (flows_ == nullptr) return isOurs(entry, *successors_);
  // There another connection may have begun between the same ends.
  if (isOver(entry)) return false;
  if (!isGoneSince(handler, told_epoch)) return false;
  // Who was in no view has not heard who took over what meanwhile: the others are asked first (takeNobodys).
  if (told_epoch < flows_->memberSince(successors_->now.self)) return false;
  const auto last = flows_->memberSince(handler) == 0 ? last_with_.find(handler) : last_with_.end();
  const auto& before = last != last_with_.end() ? last->second : previous_ != nullptr ? previous_ : successors_;
  return heirOf(entry, handler, *before, *successors_) == successors_->now.self;
}

void ConntrackShare::receive(uint16_t from, Purpose purpose, std::span<const uint8_t> records) {
  if (purpose == Purpose::taken) return give(from, records);
  {
    const std::lock_guard guard(lock_);
    std::vector<ConntrackEntry> ours;
    const bool is_moved = purpose == Purpose::move;
    const uint32_t epoch = flows_ == nullptr ? 0 : flows_->epoch();
    const auto isOursNow = [&](const ConntrackEntry& entry) { return is_moved || isToTakeOver(entry, from, epoch); };
    const auto received = replicas_.receive({from, epoch, monotonicNow_ns()}, records, isOursNow, ours);
    figures_.kept += received.kept;
    figures_.kept_full += received.full;
    figures_.malformed += received.malformed;
    if (ours.empty()) return;
    const std::size_t room = limits_.waiting_max - std::min(limits_.waiting_max, arrived_.size());
    if (ours.size() > room) {
      figures_.kept_full += ours.size() - room;
      ours.resize(room);
    }
    for (ConntrackEntry& entry : ours) arrived_.push_back({entry, is_moved ? from : uint16_t{0}});
  }
  wake();
}

std::optional<Replicas::Replica> ConntrackShare::replicaOf(const rf_flow_key& original) const {
  const std::lock_guard guard(lock_);
  for (const ConntrackTuple& way : waysOf(original)) {
    if (auto replica = replicas_.find(way)) return replica;
  }
  return std::nullopt;
}

ConntrackShare::Figures ConntrackShare::figures() const {
  const std::lock_guard guard(lock_);
  Figures figures = figures_;
  figures.waiting = waiting();
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
    attempt([this] { serve(); });
  }
}

void ConntrackShare::serve() {
  const bool is_whole = events_.take([this](const ConntrackMessage& message) { tell(message, Telling::event); });
  const uint64_t now_ns = monotonicNow_ns();
  if (!is_whole) tell_all_ns_ = std::min(tell_all_ns_, now_ns + kTellGap_ns);
  {
    const std::lock_guard guard(lock_);
    if (!is_whole) figures_.events_lost++;
    if (!is_draining_ || flows_ == nullptr) move_all_ns_ = kNever_ns;
    else if (move_all_ns_ == kNever_ns) move_all_ns_ = now_ns;
    if (std::exchange(has_become_, false)) {
      tell_all_ns_ = now_ns;
      for (ConntrackEntry& entry : replicas_.takeIf([this](const ConntrackEntry& one, const Replicas::Told& told) { return isToTakeOver(one, told.from, told.epoch); })) arrived_.push_back({entry, 0});
    }
  }
  if (now_ns < retry_ns_) return;
  retry_ns_ = 0;
  takeNobodys();
  attempt([this] { takeOver(); });
  attempt([this] { forgetMoved(); });
  if (now_ns >= move_all_ns_) attempt([this] { moveAll(); });
  if (now_ns >= tell_all_ns_) attempt([this] { tellAll(); });
}

// What fails holds up nothing else, and is tried again soon.
template <typename F>
void ConntrackShare::attempt(F&& step) {
  try {
    step();
  } catch (const std::exception&) {
    // The kernel, or memory.
    retry_ns_ = monotonicNow_ns() + kRetry_ns;
    const std::lock_guard guard(lock_);
    figures_.failed++;
  }
}

// By the control plane's thread: what they need is done by this share's.
void ConntrackShare::wantNobodys(std::span<const rf_flow_key> flows) {
  {
    const std::lock_guard guard(nobodys_lock_);
    const std::size_t room = std::min(flows.size(), kNobodys_max - nobodys_.size());
    nobodys_.insert(nobodys_.end(), flows.begin(), flows.begin() + static_cast<std::ptrdiff_t>(room));
    nobodys_full_ += flows.size() - room;
  }
  wake();
}

// Their handlers went while this node was in no view, or this one's copy is all that is left for another reason. Whoever sends again finds it here.
void ConntrackShare::takeNobodys() {
  std::vector<rf_flow_key> flows;
  uint64_t full = 0;
  {
    const std::lock_guard guard(nobodys_lock_);
    flows = std::exchange(nobodys_, {});
    full = std::exchange(nobodys_full_, 0);
  }
  const std::lock_guard guard(lock_);
  figures_.nobodys_full += full;
  for (const rf_flow_key& flow : flows) {
    for (const ConntrackTuple& way : waysOf(flow)) {
      const auto isLeft = [this](const ConntrackEntry& entry, const Replicas::Told& told) { return !isOver(entry) && isGoneSince(told.from, told.epoch); };
      auto entry = replicas_.takeOneIf(way, isLeft);
      if (!entry) continue;
      figures_.nobodys++;
      arrived_.push_back({*std::move(entry), 0});
    }
  }
}

void ConntrackShare::takeOver() {
  std::vector<Arrived> arrived;
  {
    const std::lock_guard guard(lock_);
    arrived = std::exchange(arrived_, {});
  }
  // Looks into the packet path's tables, for which nobody has to wait.
  std::erase_if(arrived, [this](const Arrived& one) { return one.mover == 0 && isAnothersByNow(one.entry); });
  if (arrived.empty()) return;
  try {
    takeInto(arrived);
  } catch (...) {
    const std::lock_guard guard(lock_);
    arrived_.insert(arrived_.end(), arrived.begin(), arrived.end());
    throw;
  }
}

// Of two nodes that had a copy the other one was sooner, or another connection has begun between the same ends.
bool ConntrackShare::isAnothersByNow(const ConntrackEntry& entry) const {
  return flows_ != nullptr && (flows_->isAnothers(flowKeyOf(entry.original)) || flows_->isAnothers(flowKeyOf(entry.reply)));
}

// The firewall first: the packet path lets nothing through that it does not know. What the firewall refuses is nobody's, and who moves it hears nothing, and tries again.
void ConntrackShare::takeInto(std::span<const Arrived> arrived) {
  std::vector<ConntrackEntry> entries;
  for (const auto& [entry, mover] : arrived) {
    entries.push_back(entry);
    if (mover == 0) entries.back().timeout_s = std::min(entry.timeout_s, kTakenOver_s_max);
  }
  const std::vector<int> errors = putEach(entries);
  std::vector<Arrived> taken;
  for (std::size_t i = 0; i < arrived.size(); i++) {
    // EBUSY: the firewall knows it already, and of more packets than it was told of.
    const bool is_known = errors[i] == 0 || errors[i] == EBUSY;
    if (is_known && becomesOurs(arrived[i].entry)) taken.push_back(arrived[i]);
  }
  bool has_word = false;
  {
    const std::lock_guard guard(lock_);
    figures_.taken_over += taken.size();
    figures_.taken_over_refused += arrived.size() - taken.size();
    for (const auto& [entry, mover] : taken) {
      if (mover == 0) continue;
      has_word = true;
      if (!taken_.put(mover, {ConntrackEvent::changed, entry})) figures_.told_full++;
    }
  }
  if (has_word) on_waiting_();
}

// The packet path knows it as this node's from then on. False: this node is in no view.
bool ConntrackShare::becomesOurs(const ConntrackEntry& entry) const {
  if (flows_ == nullptr) return true;
  const rf_flow_key original = flowKeyOf(entry.original), reply = flowKeyOf(entry.reply);
  if (!flows_->own(original, false)) return false;
  return !isTranslated(original, reply) || flows_->own(reply, true);
}

// What another node says that it has taken is its own.
void ConntrackShare::give(uint16_t to, std::span<const uint8_t> records) {
  std::vector<ConntrackEntry> moved;
  while (!records.empty()) {
    const auto message = takeRecord(records);
    if (!message) {
      const std::lock_guard guard(lock_);
      figures_.malformed++;
      break;
    }
    if (flows_ == nullptr) continue;
    const rf_flow_key original = flowKeyOf(message->entry.original), reply = flowKeyOf(message->entry.reply);
    flows_->give(original, to, false);
    if (isTranslated(original, reply)) flows_->give(reply, to, true);
    moved.push_back(message->entry);
    moved.back().timeout_s = kMoved_s;
  }
  {
    const std::lock_guard guard(lock_);
    figures_.moved += moved.size();
    moved.resize(std::min(moved.size(), limits_.waiting_max - std::min(limits_.waiting_max, moved_.size())));
    moved_.insert(moved_.end(), moved.begin(), moved.end());
  }
  wake();
}

// This node's firewall must not take them for its own when they come by again.
void ConntrackShare::forgetMoved() {
  std::vector<ConntrackEntry> moved;
  {
    const std::lock_guard guard(lock_);
    moved = std::exchange(moved_, {});
  }
  if (!moved.empty()) (void)putConntrack(moved, Put::update);
}

// By the table of a view in which this node shares no flows. False: nobody is there to take it, or nothing is left of it.
bool ConntrackShare::putMove(const ConntrackMessage& message) {
  const std::lock_guard guard(lock_);
  if (!is_draining_ || successors_ == nullptr) return false;
  // By the hash: of its own ports this node is the authority until it is gone.
  const uint16_t to = successors_->now.has_view ? successors_->now.slots[slotOf(message.entry, *successors_)] : uint16_t{0};
  if (to == 0 || to == successors_->now.self) return false;
  if (!moves_.put(to, message)) figures_.told_full++;
  return true;
}

void ConntrackShare::moveAll() {
  uint64_t unmoved = 0;
  bool has_moves = false;
  const uint64_t begun_ns = monotonicNow_ns();
  const bool is_whole = dumpConntrack([&](const ConntrackMessage& message) {
    if (!isMovable(message.entry) || flows_->handlerOf(flowKeyOf(message.entry.original)) != flows_->self()) return;
    unmoved++;
    has_moves = putMove(message) || has_moves;
  });
  move_all_ns_ = begun_ns + kMoveEvery_ns;
  {
    const std::lock_guard guard(lock_);
    figures_.unmoved = unmoved;
    if (is_whole) figures_.moves_looked++;
  }
  if (has_moves) on_waiting_();
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
  // Of a reading that failed.
  given_away_.clear();
  handshakes_.clear();
  const bool is_whole = dumpConntrack([this](const ConntrackMessage& message) { tell(message, Telling::dump); });
  tell_all_ns_ = begun_ns + (is_whole ? kTellEvery_ns : kTellGap_ns);
  for (const ConntrackMessage& message : std::exchange(handshakes_, {})) {
    if (keepForOther(message, Telling::dump)) on_waiting_();
  }
  if (!is_whole) return;
  if (flows_ == nullptr) {
    const std::lock_guard guard(lock_);
    if (is_draining_) figures_.moves_looked++;
  }
  before_.clear();
  // Whoever takes them brings them up to date; here nobody will say when they end.
  for (ConntrackEntry& entry : given_away_) entry.timeout_s = std::min(entry.timeout_s, kGivenAway_s);
  (void)putConntrack(std::exchange(given_away_, {}), Put::update);
}

void ConntrackShare::tell(const ConntrackMessage& message, Telling telling) {
  if (flows_ != nullptr && message.event == ConntrackEvent::changed) {
    const rf_flow_key original = flowKeyOf(message.entry.original), reply = flowKeyOf(message.entry.reply);
    // What this firewall alone knows may have long been another node's.
    const bool is_ours = !isOver(message.entry) && isTranslated(original, reply) && flows_->handlerOf(original) == flows_->self();
    const bool is_known = is_ours && flows_->handlerOf(reply) == flows_->self() && flows_->isAlias(reply);
    // Nobody is asked about the first packet that comes by of flows other than TCP's: their new authority has to hear of them.
    const bool is_to_tell = is_known && telling == Telling::dump && reply.protocol != IPPROTO_TCP && hasNewAuthority(reply);
    if ((is_ours && !is_known) || is_to_tell) (void)flows_->own(reply, true, (message.entry.status & IPS_ASSURED) != 0);
  }
  // That a connection is over is told once, when it is.
  if (telling == Telling::dump && isOver(message.entry)) return;
  if (isWorthKeeping(message.entry)) {
    if (keepForOther(message, telling)) on_waiting_();
  } else if (flows_ == nullptr && telling == Telling::dump && isAnswered(message.entry) && handshakes_.size() < kHandshakes_max && goesNow(message.entry)) {
    handshakes_.push_back(message);
  }
}

// True: nothing was waiting before.
bool ConntrackShare::keepForOther(const ConntrackMessage& message, Telling telling) {
  const std::lock_guard guard(lock_);
  const uint16_t other = whoIsTold(message.entry, telling);
  if (other == 0) return false;
  const bool was_empty = waiting() == 0;
  const bool has_room = copies_.put(other, message);
  if (!has_room) figures_.told_full++;
  return was_empty && has_room;
}

bool ConntrackShare::wasOurs(const ConntrackEntry& entry) const {
  return std::any_of(before_.begin(), before_.end(), [&](const auto& one) { return one != nullptr && isOurs(entry, *one); });
}

// Another one than in a view since all was told last.
bool ConntrackShare::hasNewAuthority(const rf_flow_key& flow) const {
  const std::lock_guard guard(lock_);
  if (successors_ == nullptr || !successors_->now.has_view) return false;
  const uint16_t authority = authorityOf(flow, successors_->now);
  return std::any_of(before_.begin(), before_.end(), [&](const auto& one) { return one != nullptr && authorityOf(flow, one->now) != authority; });
}

// Another node handles it from this view on.
bool ConntrackShare::goesNow(const ConntrackEntry& entry) const {
  const std::lock_guard guard(lock_);
  return successors_ != nullptr && successors_->now.has_view && !isOurs(entry, *successors_) && wasOurs(entry);
}

// What this node's firewall still knows of flows that have long been others' is theirs to tell.
uint16_t ConntrackShare::whoIsTold(const ConntrackEntry& entry, Telling telling) {
  if (successors_ == nullptr || !successors_->now.has_view) return 0;
  if (flows_ != nullptr) {
    // What the packet path does not know as this node's may be left over from another time.
    const bool is_ours = flows_->handlerOf(flowKeyOf(entry.original)) == successors_->now.self;
    return is_ours ? successorOf(entry, *successors_) : uint16_t{0};
  }
  if (isOurs(entry, *successors_)) return successorOf(entry, *successors_);
  if (telling != Telling::dump || !wasOurs(entry)) return 0;
  given_away_.push_back(entry);
  return authorityOf(entry, *successors_);
}

int ConntrackShare::pollTimeout_ms() const {
  const uint64_t now_ns = monotonicNow_ns();
  const uint64_t due_ns = retry_ns_ != 0 ? retry_ns_ : std::min(tell_all_ns_, move_all_ns_);
  if (due_ns == kNever_ns) return -1;
  return now_ns >= due_ns ? 0 : static_cast<int>((due_ns - now_ns) / 1'000'000 + 1);
}

}  // namespace rainfront
