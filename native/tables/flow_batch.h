// The pipeline for up to 64 frames at once: rf_steer's verdicts where the hash decides, with a flow's node taken from a flow table where it is known. One hash serves the Maglev slot and
// the flow table, and the misses of the cache of a whole batch overlap. For a thread that is the flow table's writer; so far the bench and the tests.
//
// What is not a whole packet of one flow to this port's front MAC (ARP, fragments, malformed frames, what is the kernel's) is judged as rf_steer does it.
#pragma once

#include <cassert>
#include <span>

#include "flow_table.h"
#include "steering_tables.h"

namespace rainfront {

class FlowBatch {
 public:
  static constexpr std::size_t kFrames_max = FlowTable::kBatch_max;

  // Of the frames that were given to steer last, in their order.
  const rf_verdict& verdict(std::size_t frame) const { return verdicts_[frame]; }
  // If the verdict says so.
  const rf_reply& reply(std::size_t frame) const { return replies_[frame]; }

  // At most kFrames_max frames. A flow that the table does not know goes to its authority and is remembered, unless the packet is dropped; one whose
  // node is not in the view any more is treated so too. A view that changes leaves known flows with their nodes: whoever does not want that makes the
  // table anew.
  void steer(std::span<const rf_bytes> frames, const uint8_t* front_mac, const rf_tables& tables, FlowTable& flows, uint64_t now_ns) {
    assert(frames.size() <= kFrames_max);
    parse(frames, front_mac, tables, now_ns);
    const rf_hash_key& secret = tables.steering->secret;
    for (unsigned i = 0; i < count_; i++) {
      hashes_[i] = rf_flow_hash(&keys_[i], &secret);
      flows.prefetch(hashes_[i]);
    }
    flows.findBatch(keys_.data(), hashes_.data(), count_, now_ns, nodes_.data());
    for (unsigned i = 0; i < count_; i++) {
      const uint8_t frame = frames_[i];
      const uint8_t* source_mac = frames[frame].p + RF_MAC_LEN;
      const auto node = static_cast<uint16_t>(nodes_[i]);
      const bool is_known = node != 0 && tables.steering->has_view && rf_tables_is_member(&tables, node);
      const uint16_t handler = is_known ? node : rf_tables_authority_of(&tables, hashes_[i]);
      const rf_verdict verdict = toHandler(handler, source_mac, rf_mac_same_layer(source_mac, front_mac), tables, now_ns);
      if (!is_known && verdict.kind != RF_VERDICT_DROP) flows.insert(keys_[i], hashes_[i], handler, now_ns);
      verdicts_[frame] = verdict;
    }
  }

 private:
  static rf_verdict toHandler(uint16_t handler, const uint8_t* source_mac, int from_peer, const rf_tables& tables, uint64_t now_ns) {
    const int cause = rf_standstill(&tables, source_mac, from_peer, now_ns);
    return cause != 0 ? rf_drop(cause, from_peer) : rf_steer_by_hash(handler, rf_mac_relay_kind(source_mac), from_peer, &tables);
  }

  // Leaves in keys_ what is to be looked up; all others have their verdicts then.
  void parse(std::span<const rf_bytes> frames, const uint8_t* front_mac, const rf_tables& tables, uint64_t now_ns) {
    count_ = 0;
    for (std::size_t i = 0; i < frames.size(); i++) {
      rf_verdict& verdict = verdicts_[i];
      rf_ethernet eth;
      if (!rf_classify(&frames[i], frames[i], front_mac, &tables, now_ns, &work_, &eth, &verdict)) {
        if (verdict.kind == RF_VERDICT_REPLY) replies_[i] = work_.reply;
        continue;
      }
      const rf_flow& flow = work_.flow;
      if (flow.fragment == RF_FRAGMENT_NONE) {
        keys_[count_] = flow.key;
        frames_[count_++] = static_cast<uint8_t>(i);
        continue;
      }
      verdict = rf_steer_flow(&flow, eth.src, rf_mac_same_layer(eth.src, front_mac), &tables, now_ns);
    }
  }

  rf_work work_;
  unsigned count_ = 0;
  std::array<uint8_t, kFrames_max> frames_;
  std::array<rf_flow_key, kFrames_max> keys_;
  std::array<uint64_t, kFrames_max> hashes_;
  std::array<uint64_t, kFrames_max> nodes_;
  std::array<rf_verdict, kFrames_max> verdicts_;
  std::array<rf_reply, kFrames_max> replies_;
};

}  // namespace rainfront
