// What this node and the others have to say to each other of flows (docs/packet-path.md, rules 27 and 29). Ports put in what they cannot know and what others should; the control plane
// carries it between the nodes. For any thread: nothing here waits for anybody.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "../tables/steering_tables.h"
#include "record.h"

namespace rainfront {

class FlowExchange {
 public:
  struct Limits {
    std::size_t questions_max = 8192;
    std::size_t told_max = 65'536;  // of all peers together
  };

  struct Figures {
    uint64_t asked = 0;         // flows that all others were asked for
    uint64_t asked_full = 0;    // for which there was no room
    uint64_t found = 0;         // that another node handles
    uint64_t unknown = 0;       // that nobody handles
    uint64_t answered = 0;      // of others' questions, those of flows that this node handles
    uint64_t told = 0;          // records given out
    uint64_t told_full = 0;     // for which there was no room
    uint64_t learned = 0;       // records of others that were taken
    uint64_t outdated = 0;      // and that were not: who they name was not a member since
    uint64_t malformed = 0;     // deliveries that were cut off, or no flow's
  };

  // `on_waiting` is called, by whichever thread it is, when there are questions to take, or records, after there were none.
  FlowExchange(std::shared_ptr<FlowStore> store, const Limits& limits, std::function<void()> on_waiting);

  void become(std::shared_ptr<const SteeringTable> tables);

  // By ports. False: too many wait for answers already.
  [[nodiscard]] bool ask(const rf_flow_key& key);
  void tell(uint16_t peer, const FlowRecord& record);
  // Whether the store knows what is to become of a flow that was asked for.
  bool isSettled(const rf_flow_key& key) const;
  FlowStore& store() const { return *store_; }

  // By the control plane. Keys that nobody was asked for yet; at most so many bytes.
  std::vector<uint8_t> takeQuestions(std::size_t bytes_max);
  // Records of those that this node handles.
  std::vector<uint8_t> answer(std::span<const uint8_t> keys);
  // Of these, those that are not known by now are nobody's: their authority may assign them.
  void settle(std::span<const uint8_t> keys);
  struct Delivery {
    uint16_t node;
    std::vector<uint8_t> records;
  };
  std::vector<Delivery> takeTold(std::size_t bytes_max);
  // Records that another node sent.
  void learn(std::span<const uint8_t> records);

  Figures figures() const;

 private:
  struct KeyHash {
    std::size_t operator()(const rf_flow_key& key) const;
  };
  struct KeyEqual {
    bool operator()(const rf_flow_key& a, const rf_flow_key& b) const { return flowWords(a) == flowWords(b); }
  };
  enum class Question : uint8_t { waiting, asked };

  uint64_t hashOf(const rf_flow_key& key) const;
  bool holds(const rf_assignment& assignment) const;

  const std::shared_ptr<FlowStore> store_;
  const Limits limits_;
  const std::function<void()> on_waiting_;

  mutable std::mutex lock_;
  std::shared_ptr<const SteeringTable> tables_ = std::make_shared<const SteeringTable>();
  std::unordered_map<rf_flow_key, Question, KeyHash, KeyEqual> questions_;
  std::size_t waiting_ = 0;  // of those
  std::map<uint16_t, std::vector<FlowRecord>> told_;
  std::size_t told_count_ = 0;
  Figures figures_;
};

}  // namespace rainfront
