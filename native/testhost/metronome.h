// The loop that observer and prober share: a beat at a fixed interval, a socket to read between beats, and commands by lines
// on stdin (`mark NAME`, `report`, `reset`, `quit`; end of input quits too, so that no tester outlives the lab).
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "clock.h"
#include "json.h"

namespace testhost {

class Instrument {
 public:
  virtual ~Instrument() = default;
  virtual int socket() const = 0;
  virtual void beat(Nanoseconds now) = 0;    // send the next request
  virtual void readable() = 0;               // take every datagram that waits
  virtual void reset(Nanoseconds now) = 0;   // a new window starts
  virtual void report(Nanoseconds now, Json& json) = 0;
};

class Metronome {
 public:
  Metronome(Instrument& instrument, Nanoseconds interval, int priority = 1) : instrument_(instrument), interval_(interval), priority_(priority) {}
  void run();

 private:
  bool takeCommands();                     // false: quit
  bool obey(const std::string& command);   // false: quit
  void noteLate(Nanoseconds now);
  void report(Nanoseconds now);

  Instrument& instrument_;
  Nanoseconds interval_;
  int priority_;
  Nanoseconds next_ = 0;
  Nanoseconds windowStart_ = 0;
  // The worst delay of a beat: how long this process itself was kept from working. Silences shorter than that prove nothing.
  Nanoseconds lateMax_ = 0;
  // Those of some length, from when to when; of very many the longest.
  std::vector<std::pair<Nanoseconds, Nanoseconds>> delays_;
  std::map<std::string, Nanoseconds> marks_;
  std::string input_;
};

}  // namespace testhost
