/* Indexes of the counters in counters.def. A port's counters are one array of RF_COUNTER_COUNT 64-bit words. */
#ifndef RAINFRONT_STEER_COUNTERS_H
#define RAINFRONT_STEER_COUNTERS_H

#define RF_COUNTER(name, meaning) RF_COUNT_##name,
enum rf_counter {
#include "counters.def"
  RF_COUNTER_COUNT
};
#undef RF_COUNTER

#endif
