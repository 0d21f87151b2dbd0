// Who answered for one VIP, and when: from requests and answers to runs, from runs to milliseconds with two owners or none.
// Pure: times come in. Used by `observe` on live answers and by `replay` on written ones.
//
// What is counted, and why it is fair:
// - A *run* of a MAC is a series of requests that it answered, with no more than kMissesAllowed in between that it did not answer, and no more than
//   kLentAllowed that another one has answered since its last answer: a VIP that went away and came back was not owned meanwhile, however soon it
//   came back, also where questions of that time waited in the node's socket until it was the owner again.
// - An answer proves that its sender owned the VIP at some instant between the request's sending and the answer's arrival,
//   no more. So a run proves ownership from the *arrival of its first answer* to the *sending of its last answered request*.
// - A VIP has two owners while proven times of two MACs overlap. An old owner's answer that was in flight when the new owner
//   first answered therefore counts nothing; an old owner that answers a request which was sent after the new owner's
//   first answer counts from that first answer on.
// - A VIP has no owner from the sending of the first unanswered request to the sending of the next answered one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "clock.h"
#include "network.h"

namespace testhost {

struct Run {
  Mac mac{};
  Nanoseconds first_arrival = 0;
  Nanoseconds last_request = 0;
  uint64_t last_index = 0;
  uint64_t answers = 0;
};

class Ownership {
 public:
  static constexpr uint64_t kMissesAllowed = 3;
  static constexpr uint64_t kLentAllowed = 1;

  void reset(Nanoseconds now);
  // Returns the request's index, to be given to answered().
  uint64_t asked(Nanoseconds sent);
  void answered(uint64_t index, Nanoseconds sent, const Mac& mac, Nanoseconds arrived);
  void announced(const Mac& mac) { ++announcements_[mac]; }

  Nanoseconds doubleOwner() const;
  Nanoseconds noOwner(Nanoseconds now) const;
  Nanoseconds longestSilence(Nanoseconds now) const;
  uint64_t requests() const { return requests_; }
  uint64_t answers() const { return answers_; }
  // Requests that two MACs answered. Not yet a fault: the first of the two may have given up in between.
  uint64_t contested() const { return contested_; }
  const std::vector<Run>& runs() const { return runs_; }
  const std::map<Mac, uint64_t>& announcements() const { return announcements_; }

 private:
  struct Asked {
    uint64_t index;
    Nanoseconds sent;
  };

  Nanoseconds openSilence(Nanoseconds now) const;
  Run* openRun(const Mac& mac, uint64_t index);
  // Requests after this one that others have answered so far.
  uint64_t lent(const Mac& mac, uint64_t after) const;

  Nanoseconds windowStart_ = 0;
  uint64_t nextIndex_ = 0;
  std::deque<Asked> unanswered_;  // requests after the latest answered one
  std::deque<std::pair<uint64_t, Mac>> recent_;  // who answered which of the latest requests
  std::vector<Run> runs_;
  std::map<Mac, uint64_t> announcements_;
  uint64_t requests_ = 0, answers_ = 0, contested_ = 0;
  Nanoseconds noOwner_ = 0, longestSilence_ = 0;
};

}  // namespace testhost
