#include "ownership.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace testhost {
namespace {

// A request may take this long to be answered on a busy machine before it counts as unanswered at the time of a report.
constexpr Nanoseconds kAnswerGrace = 50'000'000;
// Bounds of memory, far above what an honest run of the lab reaches.
constexpr size_t kRunsMax = 200'000;
constexpr size_t kUnansweredMax = 1'000'000;
constexpr size_t kRecentMax = 64;

}  // namespace

void Ownership::reset(Nanoseconds now) {
  windowStart_ = now;
  requests_ = answers_ = contested_ = 0;
  noOwner_ = longestSilence_ = 0;
  announcements_.clear();
  // A run that goes on is known to own the VIP from the window's start.
  std::erase_if(runs_, [this](const Run& run) { return run.last_index + kMissesAllowed + 1 < nextIndex_; });
  for (Run& run : runs_) {
    run.first_arrival = std::max(run.first_arrival, now);
    run.answers = 0;
  }
  for (Asked& asked : unanswered_) asked.sent = std::max(asked.sent, now);
}

uint64_t Ownership::asked(Nanoseconds sent) {
  ++requests_;
  unanswered_.push_back({nextIndex_, sent});
  if (unanswered_.size() > kUnansweredMax) throw std::length_error("a VIP was silent for too long to keep its requests");
  return nextIndex_++;
}

Run* Ownership::openRun(const Mac& mac, uint64_t index) {
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->mac != mac) continue;
    const bool isNear = index <= run->last_index + kMissesAllowed + 1;
    return isNear && lent(mac, run->last_index) <= kLentAllowed ? &*run : nullptr;
  }
  return nullptr;
}

uint64_t Ownership::lent(const Mac& mac, uint64_t after) const {
  std::set<uint64_t> indices;
  for (const auto& [index, who] : recent_) {
    if (index > after && who != mac) indices.insert(index);
  }
  return indices.size();
}

void Ownership::answered(uint64_t index, Nanoseconds sent, const Mac& mac, Nanoseconds arrived) {
  ++answers_;
  if (Run* run = openRun(mac, index)) {
    run->last_request = std::max(run->last_request, sent);
    run->last_index = std::max(run->last_index, index);
    ++run->answers;
  } else {
    if (runs_.size() >= kRunsMax) throw std::length_error("a VIP changed hands too often to keep its runs");
    runs_.push_back({mac, arrived, sent, index, 1});
  }

  const auto other = std::find_if(recent_.begin(), recent_.end(), [&](const auto& r) { return r.first == index && r.second != mac; });
  if (other != recent_.end()) ++contested_;
  recent_.emplace_back(index, mac);
  if (recent_.size() > kRecentMax) recent_.pop_front();

  if (unanswered_.empty() || unanswered_.front().index > index) return;
  const Nanoseconds silentFrom = unanswered_.front().sent;
  if (unanswered_.front().index < index) {
    const Nanoseconds silence = std::max<Nanoseconds>(0, sent - silentFrom);
    noOwner_ += silence;
    longestSilence_ = std::max(longestSilence_, silence);
  }
  while (!unanswered_.empty() && unanswered_.front().index <= index) unanswered_.pop_front();
}

Nanoseconds Ownership::openSilence(Nanoseconds now) const {
  if (unanswered_.empty()) return 0;
  const Nanoseconds silence = now - unanswered_.front().sent;
  return silence > kAnswerGrace ? silence : 0;
}

Nanoseconds Ownership::noOwner(Nanoseconds now) const { return noOwner_ + openSilence(now); }

Nanoseconds Ownership::longestSilence(Nanoseconds now) const { return std::max(longestSilence_, openSilence(now)); }

Nanoseconds Ownership::doubleOwner() const {
  struct Edge {
    Nanoseconds at;
    int change;
  };
  std::vector<Edge> edges;
  for (const Run& run : runs_) {
    if (run.last_request <= run.first_arrival) continue;  // proves an instant, not a duration
    edges.push_back({run.first_arrival, 1});
    edges.push_back({run.last_request, -1});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at != b.at ? a.at < b.at : a.change < b.change; });
  Nanoseconds total = 0;
  int owners = 0;
  for (size_t i = 0; i < edges.size(); ++i) {
    if (owners > 1) total += edges[i].at - edges[i - 1].at;
    owners += edges[i].change;
  }
  return total;
}

}  // namespace testhost
