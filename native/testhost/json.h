// Writes one JSON value into a string. Used by every report; only what reports need.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "clock.h"

namespace testhost {

class Json {
 public:
  Json& open(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
  }

  Json& close(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
  }

  Json& key(std::string_view name) {
    separate();
    quote(name);
    text_ += ':';
    first_ = true;
    return *this;
  }

  Json& string(std::string_view value) {
    separate();
    quote(value);
    return *this;
  }

  Json& count(uint64_t value) {
    separate();
    text_ += std::to_string(value);
    return *this;
  }

  // Times and durations are kept in nanoseconds and shown in milliseconds with three decimals.
  Json& ms(Nanoseconds value) {
    separate();
    char digits[40];
    snprintf(digits, sizeof digits, "%.3f", static_cast<double>(value) / 1e6);
    text_ += digits;
    return *this;
  }

  Json& null() {
    separate();
    text_ += "null";
    return *this;
  }

  // One write, so that a reader never sees half a line of two reports.
  void printLine() const {
    const std::string line = text_ + "\n";
    fwrite(line.data(), 1, line.size(), stdout);
    fflush(stdout);
  }

 private:
  void separate() {
    if (!first_) text_ += ',';
    first_ = false;
  }

  void quote(std::string_view value) {
    text_ += '"';
    for (char c : value) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    text_ += '"';
  }

  std::string text_;
  bool first_ = true;
};

}  // namespace testhost
