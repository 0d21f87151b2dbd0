#include "metronome.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "network.h"
#include "urgency.h"

namespace testhost {
namespace {

// Shorter delays are any machine's.
constexpr Nanoseconds kDelay_ns = 2'000'000;
constexpr size_t kDelaysMax = 64;

}  // namespace

void Metronome::run() {
  becomeUrgent(priority_);
  next_ = now_ns();
  windowStart_ = next_;
  instrument_.reset(next_);
  for (;;) {
    Nanoseconds now = now_ns();
    if (now >= next_) {
      noteLate(now);
      instrument_.beat(now);
      // Missed beats are skipped: catching up in a burst would not sample the time that was missed.
      next_ += interval_ * ((now - next_) / interval_ + 1);
      continue;
    }
    const timespec wait{0, std::min<Nanoseconds>(next_ - now, 999'999'999)};
    pollfd watched[2] = {{STDIN_FILENO, POLLIN, 0}, {instrument_.socket(), POLLIN, 0}};
    if (ppoll(watched, 2, &wait, nullptr) < 0) {
      if (errno == EINTR) continue;
      fail("ppoll");
    }
    if (watched[1].revents != 0) instrument_.readable();
    if (watched[0].revents != 0 && !takeCommands()) return;
  }
}

void Metronome::noteLate(Nanoseconds now) {
  const Nanoseconds due = std::max(next_, windowStart_);
  lateMax_ = std::max(lateMax_, now - due);
  if (now - due < kDelay_ns) return;
  delays_.emplace_back(due, now);
  if (delays_.size() <= kDelaysMax) return;
  const auto length = [](const auto& delay) { return delay.second - delay.first; };
  delays_.erase(std::min_element(delays_.begin(), delays_.end(), [&](const auto& a, const auto& b) { return length(a) < length(b); }));
}

bool Metronome::takeCommands() {
  char chunk[512];
  const ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
  if (got <= 0) return got < 0 && errno == EINTR;
  input_.append(chunk, static_cast<size_t>(got));
  for (size_t end; (end = input_.find('\n')) != std::string::npos;) {
    const std::string command = input_.substr(0, end);
    input_.erase(0, end + 1);
    if (!obey(command)) return false;
  }
  return input_.size() < 4096;
}

bool Metronome::obey(const std::string& command) {
  const Nanoseconds now = now_ns();
  if (command == "quit") return false;
  if (command == "report") {
    // A process that wakes late finds the command first.
    noteLate(now);
    report(now);
  } else if (command == "reset") {
    windowStart_ = now;
    lateMax_ = 0;
    delays_.clear();
    marks_.clear();
    instrument_.reset(now);
  } else if (command.rfind("mark ", 0) == 0 && marks_.size() < 1000) {
    marks_[command.substr(5)] = now;
  } else {
    fprintf(stderr, "rainfront-testhost: unknown command: %s\n", command.c_str());
  }
  return true;
}

void Metronome::report(Nanoseconds now) {
  Json json;
  json.open('{');
  json.key("now_ms").ms(now).key("window_ms").ms(now - windowStart_).key("late_ms_max").ms(lateMax_);
  json.key("marks").open('{');
  for (const auto& [name, at] : marks_) json.key(name).ms(at);
  json.close('}');
  json.key("delays").open('[');
  for (const auto& [from, to] : delays_) json.open('[').ms(from).ms(to).close(']');
  json.close(']');
  instrument_.report(now, json);
  json.close('}').printLine();
}

}  // namespace testhost
