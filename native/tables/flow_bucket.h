// One bucket of the flow table: a cache line with the tags and times of eight flows, then their keys and values. The one writer and the readers agree
// here on what may be believed.
//
// How no reader believes a torn entry. `version` is odd while the writer changes a bucket's flows, and each change makes it grow by two. All words are atomic,
// so a reader that meets the writer reads old or new words, and what it must find out is whether it has a mix.
// - The writer makes the version odd (relaxed), stores the words (release), and makes it even (release).
// - A reader loads the version (acquire), the words (acquire), and the version again (relaxed).
// A reader whose first load gives an even v sees all words of the change that ended in v, or newer ones. If one of them is newer, the load that gave it
// acquired the writer's release store, before which the version was odd already: the second load gives more than v, and the reader starts anew. The second load
// cannot come before the loads of the words, because those acquire. No fence is needed, and on x86 all of these are plain moves.
// (2^31 changes of a bucket during one read would go unnoticed: that is most of a minute of writing into a single bucket.)
// The time of a flow is a hint: readers store it too, whatever the version.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "../steer/flow_key.h"

namespace rainfront {

inline constexpr unsigned kFlowSlots = 8;

// A key as it is compared.
using FlowWords = std::array<uint64_t, 5>;
inline FlowWords flowWords(const rf_flow_key& key) { return std::bit_cast<FlowWords>(key); }

// What a slot shows of its flow's hash, from bits that the bucket's number does not have. 0 is a free slot's.
inline uint16_t flowTag(uint64_t hash) {
  const uint16_t tag = static_cast<uint16_t>(hash >> 48);
  return tag != 0 ? tag : uint16_t{1};
}

struct FlowRead {
  uint64_t value;  // 0: not here
  bool is_torn;
  uint32_t periods = 0;  // that have begun since it was seen
};

struct FlowSlot {
  std::array<std::atomic<uint64_t>, 5> key{};
  std::atomic<uint64_t> value{0};

  bool has(const FlowWords& words) const {
    uint64_t difference = 0;
    for (unsigned i = 0; i < words.size(); i++) difference |= key[i].load(std::memory_order_acquire) ^ words[i];
    return difference == 0;
  }
};

struct alignas(64) FlowBucket {
  std::atomic<uint32_t> version{0};
  std::array<uint32_t, 3> unused{};
  // Four tags to a word: slot s is lane s % 4 of word s / 4.
  std::array<std::atomic<uint64_t>, 2> tags{};
  std::array<std::atomic<uint32_t>, kFlowSlots> seen{};
  std::array<FlowSlot, kFlowSlots> slots{};

  // A set of slots that may have the tag, for slotOf; those that have it are in it. All eight are compared at once: a lane that is 0 after the exclusive or
  // borrows from its highest bit. A lane above such a one may be in the set for nothing.
  uint64_t matches(uint16_t tag) const {
    const uint64_t ones = 0x0001'0001'0001'0001;
    const uint64_t low = tags[0].load(std::memory_order_acquire) ^ ones * tag;
    const uint64_t high = tags[1].load(std::memory_order_acquire) ^ ones * tag;
    return ((low - ones) & ~low & (ones << 15)) >> 1 | ((high - ones) & ~high & (ones << 15));
  }
  // The first of a set that is not empty: bit 14 of a lane stands for a slot of the first word, bit 15 for one of the second.
  static int slotOf(uint64_t matches) {
    const int bit = std::countr_zero(matches);
    return (bit & 1) * 4 + bit / 16;
  }

  uint16_t tag(unsigned slot) const { return static_cast<uint16_t>(tags[slot / 4].load(std::memory_order_relaxed) >> (slot % 4 * 16)); }
  // The writer's, between beginChange and endChange.
  void setTag(unsigned slot, uint16_t tag) {
    const unsigned shift = slot % 4 * 16;
    const uint64_t others = tags[slot / 4].load(std::memory_order_relaxed) & ~(uint64_t{0xffff} << shift);
    tags[slot / 4].store(others | uint64_t{tag} << shift, std::memory_order_release);
  }
  void beginChange() { version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  void endChange() { version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
};

static_assert(sizeof(rf_flow_key) == sizeof(FlowWords), "a key has no padding");
static_assert(sizeof(FlowBucket) == 7 * 64);
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free);

}  // namespace rainfront
