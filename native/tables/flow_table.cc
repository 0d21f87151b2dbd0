#include "flow_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <new>
#include <stdexcept>

namespace rainfront {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Seven of a bucket's eight slots: a new flow then nearly always finds a place by itself.
std::size_t bucketsFor(std::size_t capacity) {
  if (capacity == 0 || capacity > FlowTable::kCapacity_max) throw std::invalid_argument("flow table: capacity");
  return std::bit_ceil(std::max<std::size_t>(2, (capacity + kFlowSlots - 2) / (kFlowSlots - 1)));
}

int32_t lifeTicks(uint64_t life_ns, unsigned shift) {
  const uint64_t ticks = (life_ns >> shift) + 1;
  return static_cast<int32_t>(std::min<uint64_t>(ticks, std::numeric_limits<int32_t>::max() / 2));
}

}  // namespace

PageMapping::PageMapping(std::size_t size, Pages pages) : size_(size + kHugePage) {
  base_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base_ == MAP_FAILED) throw std::bad_alloc();
  // A hint: where the kernel has no huge page the table works on small ones.
  madvise(base_, size_, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  aligned_ = base_;
  std::size_t space = size_;
  std::align(kHugePage, size, aligned_, space);
}

PageMapping::~PageMapping() { munmap(base_, size_); }

FlowTable::FlowTable(std::size_t capacity, const Lives& lives_ns, Pages pages) : mask_(bucketsFor(capacity) - 1), memory_(buckets() * sizeof(FlowBucket), pages) {
  for (std::size_t life = 0; life < lives_ns.size(); life++) lives_ticks_[life] = lifeTicks(lives_ns[life], kTickShift);
  life_ticks_min_ = *std::min_element(lives_ticks_.begin(), lives_ticks_.end());
  buckets_ = static_cast<FlowBucket*>(memory_.aligned());
  // All of the memory is taken here, so that no packet waits for a page.
  std::uninitialized_value_construct_n(buckets_, buckets());
}

void FlowTable::insert(const rf_flow_key& key, uint64_t hash, uint64_t value, uint64_t now_ns) {
  assert(value != 0);
  const FlowWords words = flowWords(key);
  const uint32_t now = ticks(now_ns);
  if (const Place known = locate(words, hash); known.slot >= 0) {
    const unsigned slot = static_cast<unsigned>(known.slot);
    // One word: no reader can see half of it, so the version may stay.
    known.bucket->slots[slot].value.store(value, std::memory_order_release);
    known.bucket->seen[slot].store(now, std::memory_order_relaxed);
    return;
  }
  const std::size_t first = firstIndex(hash);
  const std::size_t second = otherIndex(first, flowTag(hash));
  Place place = freePlace(first, now);
  if (place.slot < 0) place = freePlace(second, now);
  // Where hardly a slot is free, looking for one is what a flood of new flows would make this node do.
  const bool is_crowded = size() > slots() / 16 * 15;
  if (place.slot < 0 && !is_crowded) place = makeRoom(first, now);
  if (place.slot < 0 && !is_crowded) place = makeRoom(second, now);
  if (place.slot < 0) {
    place = leastRecentlyUsed(hash, now);
    count(counters_.evicted);
    clear(place);
  }
  put(place, flowTag(hash), words, value, now);
  size_.store(size() + 1, std::memory_order_relaxed);
  count(counters_.inserted);
}

bool FlowTable::remove(const rf_flow_key& key, uint64_t hash) {
  const Place place = locate(flowWords(key), hash);
  if (place.slot < 0) return false;
  clear(place);
  return true;
}

std::size_t FlowTable::sweep(std::size_t buckets_wanted, uint64_t now_ns) {
  const uint32_t now = ticks(now_ns);
  std::size_t expired = 0;
  for (std::size_t i = 0; i < std::min(buckets_wanted, buckets()); i++) {
    expired += expire(buckets_[swept_], now);
    swept_ = (swept_ + 1) & mask_;
    __builtin_prefetch(&buckets_[(swept_ + 3) & mask_]);
  }
  return expired;
}

// The writer is alone in changing what this reads.
FlowTable::Place FlowTable::locate(const FlowWords& words, uint64_t hash) const {
  for (FlowBucket* bucket : {&firstOf(hash), &secondOf(hash)}) {
    for (uint64_t matches = bucket->matches(flowTag(hash)); matches != 0; matches &= matches - 1) {
      const int slot = FlowBucket::slotOf(matches);
      // A free slot keeps its last flow's key.
      if (bucket->tag(static_cast<unsigned>(slot)) == flowTag(hash) && bucket->slots[static_cast<unsigned>(slot)].has(words)) return {bucket, slot};
    }
  }
  return {nullptr, -1};
}

std::size_t FlowTable::expire(FlowBucket& bucket, uint32_t now) {
  std::size_t expired = 0;
  for (unsigned slot = 0; slot < kFlowSlots; slot++) {
    const uint32_t seen = bucket.seen[slot].load(std::memory_order_relaxed);
    if (bucket.tag(slot) == 0 || !mayBeExpired(seen, now) || !isExpired(seen, now, bucket.slots[slot].value.load(std::memory_order_relaxed))) continue;
    clear({&bucket, static_cast<int>(slot)});
    count(counters_.expired);
    expired++;
  }
  return expired;
}

// Forgets what has expired in the bucket.
FlowTable::Place FlowTable::freePlace(std::size_t index, uint32_t now) {
  FlowBucket& bucket = buckets_[index];
  expire(bucket, now);
  for (unsigned slot = 0; slot < kFlowSlots; slot++) {
    if (bucket.tag(slot) == 0) return {&bucket, static_cast<int>(slot)};
  }
  return {&bucket, -1};
}

// Moves one flow of a full bucket to its other bucket. It is put there first, so that a reader finds it in one of them at any moment (see find).
FlowTable::Place FlowTable::makeRoom(std::size_t index, uint32_t now) {
  FlowBucket& bucket = buckets_[index];
  for (unsigned slot = 0; slot < kFlowSlots; slot++) __builtin_prefetch(&buckets_[otherIndex(index, bucket.tag(slot))]);
  for (unsigned slot = 0; slot < kFlowSlots; slot++) {
    const Place to = freePlace(otherIndex(index, bucket.tag(slot)), now);
    if (to.slot < 0) continue;
    const FlowSlot& from = bucket.slots[slot];
    FlowWords words;
    for (unsigned i = 0; i < words.size(); i++) words[i] = from.key[i].load(std::memory_order_relaxed);
    put(to, bucket.tag(slot), words, from.value.load(std::memory_order_relaxed), bucket.seen[slot].load(std::memory_order_relaxed));
    clear({&bucket, static_cast<int>(slot)});
    size_.store(size() + 1, std::memory_order_relaxed);
    count(counters_.moved);
    return {&bucket, static_cast<int>(slot)};
  }
  return {&bucket, -1};
}

// Both buckets are full.
FlowTable::Place FlowTable::leastRecentlyUsed(uint64_t hash, uint32_t now) const {
  Place oldest = {&firstOf(hash), 0};
  int32_t age_max = std::numeric_limits<int32_t>::min();
  for (FlowBucket* bucket : {&firstOf(hash), &secondOf(hash)}) {
    for (unsigned slot = 0; slot < kFlowSlots; slot++) {
      const int32_t slot_age = age(bucket->seen[slot].load(std::memory_order_relaxed), now);
      if (slot_age <= age_max) continue;
      age_max = slot_age;
      oldest = {bucket, static_cast<int>(slot)};
    }
  }
  return oldest;
}

// Into a free slot.
void FlowTable::put(Place place, uint16_t tag, const FlowWords& words, uint64_t value, uint32_t seen) {
  const unsigned slot = static_cast<unsigned>(place.slot);
  FlowSlot& entry = place.bucket->slots[slot];
  place.bucket->beginChange();
  for (unsigned i = 0; i < words.size(); i++) entry.key[i].store(words[i], std::memory_order_release);
  entry.value.store(value, std::memory_order_release);
  place.bucket->seen[slot].store(seen, std::memory_order_release);
  place.bucket->setTag(slot, tag);
  place.bucket->endChange();
}

void FlowTable::clear(Place place) {
  place.bucket->beginChange();
  place.bucket->setTag(static_cast<unsigned>(place.slot), 0);
  place.bucket->endChange();
  size_.store(size() - 1, std::memory_order_relaxed);
}

}  // namespace rainfront
