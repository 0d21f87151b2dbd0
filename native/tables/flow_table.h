// What is known of a flow, in a word: memory that is fixed at construction, one writer, any number of readers without locks. Called by
// flow_map.h and flow_batch.h. Reading is here; writing is in flow_table.cc, the buckets are in flow_bucket.h.
//
// A flow has two buckets of eight slots, both named by its hash (rf_flow_hash: keyed, so nobody outside can aim flows at a bucket): the second
// is the first one's number changed by the tag, so that either leads to the other. A new flow takes a free slot of the first, then of the second; then one whose
// flow can move to its own other bucket; and when there is none, the least recently used of the two buckets' flows gives way, which is counted.
//
// Time is coarse: ticks of about 67 ms, so that a busy flow's bucket is written 15 times a second and not with every packet.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>

#include "../steer/assignment.h"
#include "flow_bucket.h"

namespace rainfront {

// Written by the writer, read by anyone.
struct FlowTableCounters {
  std::atomic<uint64_t> inserted{0};
  std::atomic<uint64_t> evicted{0};  // were still alive, and gave way to a new flow
  std::atomic<uint64_t> expired{0};
  std::atomic<uint64_t> moved{0};  // to their other bucket, to make room
  mutable std::atomic<uint64_t> contended{0};  // lookups that gave up because the writer was at their buckets again and again
};

// Memory that goes back to the kernel with its owner.
class PageMapping {
 public:
  // Small pages are for comparison.
  enum class Pages { kHuge, kSmall };
  PageMapping(std::size_t size, Pages pages);
  ~PageMapping();
  PageMapping(const PageMapping&) = delete;
  PageMapping& operator=(const PageMapping&) = delete;
  void* aligned() const { return aligned_; }

 private:
  void* base_;
  std::size_t size_;
  void* aligned_;
};

// A flow as somebody sees it who only looks.
struct FlowSight {
  rf_flow_key key;
  uint64_t value;
  uint64_t idle_ns;  // to within a tick
};

class FlowTable {
 public:
  static constexpr unsigned kBatch_max = 64;
  static constexpr std::size_t kCapacity_max = std::size_t{1} << 27;
  using Pages = PageMapping::Pages;

  // By the two highest bits of a flow's value.
  using Lives = std::array<uint64_t, 4>;

  // Room for `capacity` flows and up to twice as many, 64 to 128 bytes each. A flow that is not seen for its life (ns) is forgotten, to within
  // two ticks. Throws std::invalid_argument for a capacity of 0 or beyond the limit, std::bad_alloc.
  FlowTable(std::size_t capacity, const Lives& lives_ns, Pages pages = Pages::kHuge);
  FlowTable(std::size_t capacity, uint64_t life_ns, Pages pages = Pages::kHuge) : FlowTable(capacity, Lives{life_ns, life_ns, life_ns, life_ns}, pages) {}

  // For any thread: the value, or 0. Who finds a flow keeps it alive. A flow that is being changed over and over may be missed (counted as contended):
  // readers give up rather than wait for a writer that may have been stopped.
  uint64_t find(const rf_flow_key& key, uint64_t hash, uint64_t now_ns) const { return look(key, hash, now_ns, [] {}).value; }

  // As find, and how many periods have begun since the flow was seen.
  FlowRead look(const rf_flow_key& key, uint64_t hash, uint64_t now_ns) const { return look(key, hash, now_ns, [] {}); }

  // As look. Calls `step` wherever the writer can come between, for tests to be that writer.
  template <class Step>
  FlowRead look(const rf_flow_key& key, uint64_t hash, uint64_t now_ns, Step step) const {
    const FlowWords words = flowWords(key);
    const uint32_t now = ticks(now_ns);
    FlowBucket& first = firstOf(hash);
    FlowBucket& second = secondOf(hash);
    for (int attempt = 0; attempt < kAttempts_max; attempt++) {
      const uint32_t version = first.version.load(std::memory_order_acquire);
      step();
      const FlowRead in_first = read(first, hash, words, now, step);
      if (in_first.value != 0) return in_first;
      step();
      const FlowRead in_second = read(second, hash, words, now, step);
      if (in_second.value != 0) return in_second;
      step();
      if (in_first.is_torn || in_second.is_torn) continue;
      // The writer moves a flow by putting it into the other bucket before it takes it out of its own. So a flow that was in neither either was not
      // there, or went from the second to the first after the first had been read: whoever sees it gone from the second (an acquiring load of what was
      // stored with release) sees the first's new version too.
      if (first.version.load(std::memory_order_acquire) == version) return {0, false};
    }
    counters_.contended.fetch_add(1, std::memory_order_relaxed);
    return {0, false};
  }

  // Ahead of find or findBatch, as soon as the hash is known.
  void prefetch(uint64_t hash) const { __builtin_prefetch(&firstOf(hash)); }

  // `count` lookups, at most kBatch_max, whose misses of the cache overlap: tags of all, then keys of all. Values as by find.
  void findBatch(const rf_flow_key* keys, const uint64_t* hashes, unsigned count, uint64_t now_ns, uint64_t* values) const {
    findBatch(keys, hashes, count, now_ns, values, [] {});
  }

  template <class Step>
  void findBatch(const rf_flow_key* keys, const uint64_t* hashes, unsigned count, uint64_t now_ns, uint64_t* values, Step step) const {
    std::array<Probe, kBatch_max> probes;
    uint64_t elsewhere = 0;
    for (unsigned i = 0; i < count; i++) {
      probes[i] = probe(firstOf(hashes[i]), hashes[i]);
      if (probes[i].slot < 0) {
        __builtin_prefetch(&secondOf(hashes[i]));
        elsewhere |= uint64_t{1} << i;
      }
    }
    for (; elsewhere != 0; elsewhere &= elsewhere - 1) {
      const unsigned i = static_cast<unsigned>(std::countr_zero(elsewhere));
      probes[i] = probe(secondOf(hashes[i]), hashes[i]);
    }
    const uint32_t now = ticks(now_ns);
    for (unsigned i = 0; i < count; i++) {
      step();
      const uint64_t value = probes[i].slot < 0 ? uint64_t{0} : confirm(probes[i], flowWords(keys[i]), now, step);
      values[i] = value != 0 ? value : look(keys[i], hashes[i], now_ns, step).value;
    }
  }

  // For any thread: as find, and the flow lives no longer for it.
  std::optional<FlowSight> peek(const rf_flow_key& key, uint64_t hash, uint64_t now_ns) const {
    const FlowBucket& first = firstOf(hash);
    const FlowBucket& second = secondOf(hash);
    for (int attempt = 0; attempt < kAttempts_max; attempt++) {
      const uint32_t version = first.version.load(std::memory_order_acquire);
      for (const FlowBucket* bucket : {&first, &second}) {
        const Sights seen = sightsOf(*bucket, ticks(now_ns));
        for (unsigned i = 0; i < seen.count; i++) {
          if (flowWords(seen.flows[i].key) == flowWords(key)) return seen.flows[i];
        }
      }
      // Else it may have gone from the second to the first meanwhile: see look.
      if (first.version.load(std::memory_order_acquire) == version) return std::nullopt;
    }
    counters_.contended.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }

  // For any thread: all flows, in no order, until `visit` says false; so does this then. One that the writer moves meanwhile is missed, or visited twice.
  template <class Visit>
  bool forEach(uint64_t now_ns, Visit visit) const {
    for (std::size_t i = 0; i < buckets(); i++) {
      const Sights seen = sightsOf(buckets_[i], ticks(now_ns));
      for (unsigned slot = 0; slot < seen.count; slot++) {
        if (!visit(seen.flows[slot])) return false;
      }
    }
    return true;
  }

  // The following are for the one writer alone.

  // `value` is not 0. A flow that is there gets this value and is seen now.
  void insert(const rf_flow_key& key, uint64_t hash, uint64_t value, uint64_t now_ns);
  // Whether it was there.
  bool remove(const rf_flow_key& key, uint64_t hash);
  // Forgets what has expired in the next `buckets` buckets, and returns how many flows that were. Called again and again,
  // with a few buckets per batch of packets, it comes to all of them without a stop.
  std::size_t sweep(std::size_t buckets, uint64_t now_ns);

  // For any thread.
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  std::size_t buckets() const { return mask_ + 1; }
  std::size_t slots() const { return buckets() * kFlowSlots; }
  const FlowTableCounters& counters() const { return counters_; }

 private:
  static constexpr unsigned kTickShift = 26;
  static constexpr unsigned kLifeShift = 62;
  static constexpr int kAttempts_max = 64;
  static constexpr unsigned kPeriodShift = RF_PERIOD_SHIFT - kTickShift;

  // What a look at the tags found.
  struct Probe {
    FlowBucket* bucket;
    uint32_t version;
    int slot;  // -1: none
  };
  struct Place {
    FlowBucket* bucket;
    int slot;  // -1: none
  };

  static uint32_t ticks(uint64_t now_ns) { return static_cast<uint32_t>(now_ns >> kTickShift); }
  // Who reads the clock a moment earlier than another must not find a fresh flow old: ages are signed.
  static int32_t age(uint32_t seen, uint32_t now) { return static_cast<int32_t>(now - seen); }
  bool isExpired(uint32_t seen, uint32_t now, uint64_t value) const { return age(seen, now) > lives_ticks_[value >> kLifeShift]; }
  // The values are in cache lines of their own.
  bool mayBeExpired(uint32_t seen, uint32_t now) const { return age(seen, now) > life_ticks_min_; }

  std::size_t firstIndex(uint64_t hash) const { return hash & mask_; }
  std::size_t otherIndex(std::size_t index, uint16_t tag) const { return (index ^ (tag * 0x9e3779b1u | 1u)) & mask_; }
  FlowBucket& firstOf(uint64_t hash) const { return buckets_[firstIndex(hash)]; }
  FlowBucket& secondOf(uint64_t hash) const { return buckets_[otherIndex(firstIndex(hash), flowTag(hash))]; }

  static Probe probe(FlowBucket& bucket, uint64_t hash) {
    const uint32_t version = bucket.version.load(std::memory_order_acquire);
    const uint64_t matches = bucket.matches(flowTag(hash));
    if (matches == 0) return {&bucket, version, -1};
    const int slot = FlowBucket::slotOf(matches);
    const FlowSlot& entry = bucket.slots[static_cast<unsigned>(slot)];
    __builtin_prefetch(&entry.key[0]);
    __builtin_prefetch(&entry.value);
    return {&bucket, version, slot};
  }

  // The value if the flow is where the probe saw its tag, else 0: there may be another flow of that tag, or the writer has been here.
  template <class Step>
  uint64_t confirm(const Probe& at, const FlowWords& words, uint32_t now, Step step) const {
    FlowBucket& bucket = *at.bucket;
    const unsigned slot = static_cast<unsigned>(at.slot);
    if ((at.version & 1) != 0 || !bucket.slots[slot].has(words)) return 0;
    return confirmed(bucket, slot, at.version, now, step).value;
  }

  template <class Step>
  FlowRead read(FlowBucket& bucket, uint64_t hash, const FlowWords& words, uint32_t now, Step step) const {
    const uint32_t version = bucket.version.load(std::memory_order_acquire);
    if ((version & 1) != 0) return {0, true};
    step();
    for (uint64_t matches = bucket.matches(flowTag(hash)); matches != 0; matches &= matches - 1) {
      const unsigned slot = static_cast<unsigned>(FlowBucket::slotOf(matches));
      if (bucket.slots[slot].has(words)) return confirmed(bucket, slot, version, now, step);
    }
    // A flow that stays in its slot is found, whatever becomes of the others: no need to look at the version again.
    return {0, false};
  }

  // The key in `slot` has been compared since `version`. Marks the flow as seen: a store that may hit the slot's next flow if the writer comes between, and
  // then makes that one look no older than this reader's clock, which costs at most its early expiry.
  template <class Step>
  FlowRead confirmed(FlowBucket& bucket, unsigned slot, uint32_t version, uint32_t now, Step step) const {
    step();
    const uint64_t value = bucket.slots[slot].value.load(std::memory_order_acquire);
    const uint32_t seen = bucket.seen[slot].load(std::memory_order_acquire);
    step();
    if (bucket.version.load(std::memory_order_relaxed) != version) return {0, true};
    if (isExpired(seen, now, value)) return {0, false};
    if (age(seen, now) > 0) bucket.seen[slot].store(now, std::memory_order_relaxed);
    const uint32_t seen_in = seen >> kPeriodShift, now_in = now >> kPeriodShift;
    return {value, false, now_in > seen_in ? now_in - seen_in : 0};
  }

  struct Sights {
    std::array<FlowSight, kFlowSlots> flows;
    unsigned count = 0;
  };

  // None where the writer is at it again and again.
  Sights sightsOf(const FlowBucket& bucket, uint32_t now) const {
    for (int attempt = 0; attempt < kAttempts_max; attempt++) {
      const uint32_t version = bucket.version.load(std::memory_order_acquire);
      if ((version & 1) != 0) continue;
      Sights seen;
      for (unsigned slot = 0; slot < kFlowSlots; slot++) {
        const uint64_t tags = bucket.tags[slot / 4].load(std::memory_order_acquire);
        if (static_cast<uint16_t>(tags >> (slot % 4 * 16)) == 0) continue;
        FlowWords words;
        for (unsigned i = 0; i < words.size(); i++) words[i] = bucket.slots[slot].key[i].load(std::memory_order_acquire);
        const uint64_t value = bucket.slots[slot].value.load(std::memory_order_acquire);
        const uint32_t last = bucket.seen[slot].load(std::memory_order_acquire);
        if (isExpired(last, now, value)) continue;
        seen.flows[seen.count++] = {std::bit_cast<rf_flow_key>(words), value, static_cast<uint64_t>(std::max(0, age(last, now))) << kTickShift};
      }
      if (bucket.version.load(std::memory_order_relaxed) == version) return seen;
    }
    counters_.contended.fetch_add(1, std::memory_order_relaxed);
    return {};
  }

  Place locate(const FlowWords& words, uint64_t hash) const;
  std::size_t expire(FlowBucket& bucket, uint32_t now);
  Place freePlace(std::size_t index, uint32_t now);
  Place makeRoom(std::size_t index, uint32_t now);
  Place leastRecentlyUsed(uint64_t hash, uint32_t now) const;
  void put(Place place, uint16_t tag, const FlowWords& words, uint64_t value, uint32_t seen);
  void clear(Place place);
  void count(std::atomic<uint64_t>& counter) { counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

  std::array<int32_t, 4> lives_ticks_;
  int32_t life_ticks_min_;
  std::size_t mask_;
  PageMapping memory_;
  FlowBucket* buckets_;
  std::size_t swept_ = 0;
  std::atomic<std::size_t> size_{0};
  FlowTableCounters counters_;
};

}  // namespace rainfront
