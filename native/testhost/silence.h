// The longest time without an answer in a stream of probes. Pure: times come in.
#pragma once

#include <algorithm>

#include "clock.h"

namespace testhost {

class Silence {
 public:
  struct Span {
    Nanoseconds from = 0;
    Nanoseconds to = 0;
    bool open = false;  // nothing has come since
    Nanoseconds length() const { return to - from; }
  };

  // A silence that began before the window counts from the window's start.
  void reset(Nanoseconds now) {
    last_ = now;
    longest_ = {now, now, false};
  }

  void answered(Nanoseconds now) {
    if (now - last_ > longest_.length()) longest_ = {last_, now, false};
    last_ = now;
  }

  Span longest(Nanoseconds now) const {
    const Span current{last_, now, true};
    return current.length() > longest_.length() ? current : longest_;
  }

  Nanoseconds lastAnswer() const { return last_; }

 private:
  Nanoseconds last_ = 0;
  Span longest_;
};

}  // namespace testhost
