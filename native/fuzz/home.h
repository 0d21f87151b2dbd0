// A node's port as the fuzzer has it: its tables, and rf_steer over frames in memory of exactly their size.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>

#include "../tables/steering_tables.h"
#include "../test/vector_lines.h"
#include "input.h"

namespace rainfront::fuzz {

// Wrong on purpose, as the environment's RF_FUZZ_PLANT says, to see that the fuzzer tells: "overread" says that a frame is a byte longer than it is, as
// if a bound were missing; "circle" relays what a peer has relayed.
enum class Plant { none, overread, circle };
inline Plant plant = Plant::none;

struct Outcome {
  rf_verdict verdict;
  Bytes reply;
};

// What all nodes of one input have in common. The Maglev table stays from input to input, for it is large.
class View {
 public:
  void become(const Input& input) {
    SteeringTable& table = *tables_[input.authority == kSpread ? 1 : 0];
    if (input.authority != kSpread && table.slots[0] != input.authority) table.slots.fill(input.authority);
    table.has_view = input.authority != 0;
    for (unsigned bit = 0; bit < 8; bit++) table.members.set(bit + 1, (input.members >> bit & 1) != 0);
    table.departed[0] = input.has_departed ? kDeparted : rf_departed{};
    now_ = &table;
    vips_ = input.has_ipv6 ? &all_vips_ : &ipv4_vips_;
    lease_until_ns = test::kVectorNow_ns + (input.has_lease ? test::kVectorLease_ns : 0);
  }

  // The table, as the node `self` has it.
  const SteeringTable* of(uint16_t self) {
    now_->self = self;
    return now_;
  }

  const VipSet& vips() const { return *vips_; }
  bool hasMember(uint16_t node) const { return now_->members.test(node); }
  bool mayRelay(uint16_t node, uint64_t now_ns) const {
    return hasMember(node) || (now_->departed[0].node == node && now_ns < kDeparted.until_ns);
  }
  bool isLeaseValid(uint64_t now_ns) const { return now_ns < lease_until_ns.load(); }

  std::atomic<uint64_t> lease_until_ns{0};

 private:
  static constexpr rf_departed kDeparted = {test::kVectorSoon_ns, 9, {}};

  static std::unique_ptr<SteeringTable> empty() {
    auto table = std::make_unique<SteeringTable>();
    table->secret = test::kVectorSecret;
    return table;
  }
  static std::unique_ptr<SteeringTable> spread() {
    auto table = empty();
    for (std::size_t slot = 0; slot < kMaglevSlots; slot++) table->slots[slot] = static_cast<uint16_t>(slot % 3 + 1);
    return table;
  }
  std::array<std::unique_ptr<SteeringTable>, 2> tables_{empty(), spread()};
  SteeringTable* now_ = tables_[0].get();
  const VipSet all_vips_ = test::vectorVips(true);
  const VipSet ipv4_vips_ = test::vectorVips(false);
  const VipSet* vips_ = &all_vips_;
};

// One node. Copied to ask what would become of another frame in its place.
class Home {
 public:
  Home(View& view, uint16_t self) : view_(&view), self_(self) {}

  uint16_t self() const { return self_; }
  Mac frontMac() const { return test::nodeMac(self_); }

  // `rubbish` fills the memory that rf_steer works in: nothing may depend on it. Aborts when rf_steer changes the frame.
  Outcome steer(const Bytes& frame, uint64_t now_ns, uint8_t rubbish = 0) {
    const auto exact = std::make_unique<uint8_t[]>(frame.size());
    std::copy(frame.begin(), frame.end(), exact.get());
    const auto work = std::make_unique<rf_work>();
    std::memset(static_cast<void*>(work.get()), rubbish, sizeof *work);
    const Mac mac = frontMac();
    const rf_tables tables{view_->of(self_), &view_->vips(), &fragments_, &view_->lease_until_ns};
    const rf_bytes bytes = rf_bytes_of(exact.get(), static_cast<uint32_t>(frame.size()) + (plant == Plant::overread ? 1 : 0));
    rf_verdict verdict = rf_steer(&bytes, bytes, mac.data(), &tables, now_ns, work.get());
    if (plant == Plant::circle && verdict.cause == RF_COUNT_drop_relay_bound) verdict = rf_relay(2, RF_RELAY_ASK, 1, 0);
    isUnchanged = std::equal(frame.begin(), frame.end(), exact.get());
    if (verdict.kind != RF_VERDICT_REPLY) return {verdict, {}};
    const std::size_t length = std::min<std::size_t>(work->reply.len, sizeof work->reply.frame);
    isReplyInBounds = work->reply.len == length;
    return {verdict, Bytes(work->reply.frame, work->reply.frame + length)};
  }

  // Of the last frame.
  bool isUnchanged = true;
  bool isReplyInBounds = true;

 private:
  View* view_;
  uint16_t self_;
  // Few sets, so that datagrams drive each other out.
  FragmentTable fragments_{test::kVectorSecret, 4};
};

}  // namespace rainfront::fuzz
