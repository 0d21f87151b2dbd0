// What a datagram port counts; the binding hands them to JavaScript by these names. lib/session/datagramPort.ts has the same list, and a
// test compares them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#define RF_DATAGRAM_COUNTERS(COUNTER)                                                                             \
  COUNTER(datagrams_in)      /* received */                                                                       \
  COUNTER(datagrams_out)     /* taken by the kernel */                                                            \
  COUNTER(wakes)             /* calls of onWake */                                                                \
  COUNTER(merged_in)         /* packets of several datagrams that the kernel had merged */                        \
  COUNTER(merged_out)        /* packets of several datagrams that the kernel splits */                            \
  COUNTER(merge_refused)     /* the kernel would not split: sent one by one */                                    \
  COUNTER(receive_overflow)  /* dropped: the socket's buffer was full, or a merged packet had too many parts */    \
  COUNTER(receive_failed)    /* a socket reported an error instead of a datagram */                               \
  COUNTER(send_buffer_full)  /* dropped: EAGAIN */                                                                \
  COUNTER(send_no_memory)    /* dropped: ENOBUFS, ENOMEM */                                                       \
  COUNTER(send_too_big)      /* dropped: EMSGSIZE */                                                              \
  COUNTER(send_refused)      /* dropped: ECONNREFUSED */                                                          \
  COUNTER(send_unreachable)  /* dropped: ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL, ENODEV */            \
  COUNTER(send_denied)       /* dropped: EPERM, EACCES, as by a packet filter */                                  \
  COUNTER(send_failed)       /* dropped: any other cause */

namespace rainfront::datagram {

enum class Counter : std::size_t {
#define RF_COUNTER(name) name,
  RF_DATAGRAM_COUNTERS(RF_COUNTER)
#undef RF_COUNTER
      count_
};

inline constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::count_);

inline constexpr std::array<const char*, kCounters> kCounterNames{
#define RF_COUNTER(name) #name,
    RF_DATAGRAM_COUNTERS(RF_COUNTER)
#undef RF_COUNTER
};

class Counters {
 public:
  void add(Counter counter, uint64_t n = 1) { values_[static_cast<std::size_t>(counter)] += n; }
  uint64_t operator[](Counter counter) const { return values_[static_cast<std::size_t>(counter)]; }

 private:
  std::array<uint64_t, kCounters> values_{};
};

// The cause under which a datagram that the kernel did not take is counted.
Counter sendFailure(int error_number);

}  // namespace rainfront::datagram
