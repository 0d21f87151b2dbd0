// What this node and the others have to say to each other of flows (docs/packet-path.md, rules 27 to 30). Ports put in what they cannot know and what others should; the control plane
// carries it between the nodes. For any thread; ports wait for no more than a short list, whatever the control plane does.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "../port/inheriting_mutex.h"
#include "../tables/steering_tables.h"
#include "claim.h"
#include "record.h"

namespace rainfront {

class FlowExchange {
 public:
  struct Limits {
    std::size_t questions_max;      // that are not settled
    std::size_t questions_per_s;    // what others have to look up, in their rings' threads
    std::size_t told_max;           // of all peers together
    std::size_t told_per_s;         // what others have to take in there
    std::size_t lookups_per_s = 16'000;  // in the firewall; who is asked for more cannot say
  };

  struct Figures {
    uint64_t asked = 0;       // flows that all others were asked for
    uint64_t asked_full = 0;  // for which there was no room, or that were too many
    uint64_t found = 0;       // that another node handles
    uint64_t unknown = 0;     // that nobody handles
    uint64_t abandoned = 0;   // of which not all others could say anything
    uint64_t answered = 0;    // of others' questions, those of flows that this node handles,
    uint64_t answered_by_firewall = 0;  // and of these, those that its packet path did not know
    uint64_t firewall_failed = 0;       // times that the firewall could not say what it knows
    uint64_t firewall_full = 0;         // flows that it was not asked for, for these were too many
    uint64_t told = 0;        // records given out
    uint64_t told_full = 0;   // for which there was no room
    uint64_t learned = 0;     // records of others that were taken
    uint64_t corrected = 0;   // of these, those that name another node than was known, which is told so
    uint64_t outdated = 0;    // and that were not: who they name was not a member since
    uint64_t malformed = 0;   // deliveries that were cut off, or no flow's
  };

  // Of each its connection; nothing: the firewall knows none. Called by the control plane's thread; throws what std::exception is of.
  using FirewallFind = std::function<std::vector<std::optional<FirewallConnection>>(std::span<const rf_flow_key>)>;

  // Flows of which all nodes say that they do not handle them. Called by the control plane's thread, which is not to be kept waiting.
  using OnNobodys = std::function<void(std::span<const rf_flow_key>)>;

  // `on_waiting` is called, by whichever thread it is, when there are questions to take, or records, after there were none.
  FlowExchange(std::shared_ptr<FlowStore> store, const Limits& limits, std::function<void()> on_waiting, FirewallFind find_in_firewall = nullptr);

  void become(std::shared_ptr<const SteeringTable> tables);

  // By ports. False: too many wait for answers already.
  [[nodiscard]] bool ask(const rf_flow_key& key);
  void tell(uint16_t peer, const FlowRecord& record);
  // Whether it is known by now what becomes of a flow that was asked for.
  bool isSettled(const rf_flow_key& key) const;
  FlowStore& store() const { return *store_; }

  // By whoever knows the firewall's connections. The node that handles a flow, as far as this one knows; 0: none.
  uint16_t handlerOf(const rf_flow_key& key) const;
  bool isAlias(const rf_flow_key& key) const;
  // Another member handles it, in a connection that goes on, and packets of it came by here a moment ago.
  bool isAnothers(const rf_flow_key& key) const;
  // It is this node's from now on, and its authority is told. `is_alias`: see RF_ASSIGNED_ALIAS. False: this node is in no view.
  // `is_begun`: both sides have spoken.
  bool own(const rf_flow_key& key, bool is_alias, bool is_begun = true);
  // It is that member's.
  void give(const rf_flow_key& key, uint16_t node, bool is_alias);
  uint16_t self() const { return tables()->self; }
  // Of the view, and of the one since which a node is a member: 0 of all others.
  uint32_t epoch() const;
  uint32_t memberSince(uint16_t node) const;

  // By who only looks: no flow lives longer for that, and no figure counts it.
  struct Sight {
    SeenFlow flow;
    bool is_held;  // its node has been a member since, and handles it
  };
  std::optional<Sight> peek(const rf_flow_key& key) const;
  struct Overview {
    std::vector<Sight> flows;               // as many as were asked for
    std::map<uint16_t, uint64_t> of_nodes;  // how many there are of each; 0: nobody's
  };
  // `node`: its flows alone; nothing: all. Reads all that there is, which takes as long as that takes. Throws PortError.
  Overview overview(std::optional<uint16_t> node, std::size_t flows_max) const;

  // By the control plane. Keys that nobody was asked for yet; at most so many bytes.
  std::vector<uint8_t> takeQuestions(std::size_t bytes_max);
  // Records of those that this node handles. Nothing: it cannot say, for it is in no view.
  std::optional<std::vector<uint8_t>> answer(std::span<const uint8_t> keys);
  // All others have answered: what is not known by now is nobody's, and its authority may assign it.
  void settle(std::span<const uint8_t> keys);
  // They have not: whose packets come by again is asked for again.
  void abandon(std::span<const uint8_t> keys);
  // Whoever may know more of those that are nobody's: hears of them from now on, and after `nullptr` no more.
  void hearNobodys(OnNobodys on_nobodys);
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
  struct Question {
    bool is_asked = false;
    // Somebody is sure of it: what the packets have forgotten again since is not nobody's.
    bool is_answered = false;
    // Who may handle it, which counts if nobody knows better: the likeliest of them.
    std::optional<rf_assignment> guess{};
  };
  using Tables = std::shared_ptr<const SteeringTable>;
  // So many in each second.
  struct Rate {
    uint64_t since_ns = 0;
    std::size_t count = 0;
    bool mayOneMore(uint64_t now_ns, std::size_t per_s, std::size_t n = 1);
  };

  Tables tables() const;
  // Of a node that has been a member since.
  std::optional<SeenFlow> held(const rf_flow_key& key, const SteeringTable& tables) const;
  void put(const rf_flow_key& key, const rf_assignment& assignment, const SteeringTable& tables);
  FlowRecord remember(const rf_flow_key& key, uint16_t node, bool is_alias, const SteeringTable& tables, bool is_begun = true);
  std::optional<std::vector<std::optional<FirewallConnection>>> inFirewall(std::span<const rf_flow_key> keys);
  std::vector<FlowRecord> claims(std::span<const rf_flow_key> keys, const SteeringTable& tables);
  bool isAnswered(const rf_flow_key& key) const;
  void noteAnswer(const rf_flow_key& key);
  bool isStillSo(const FlowRecord& record, const SteeringTable& tables) const;
  std::map<uint16_t, std::vector<FlowRecord>> takeRecords(std::size_t bytes_max);
  void keepGuess(const FlowRecord& guess);
  std::vector<FlowRecord> ownAnswers(std::span<const rf_flow_key> keys, const SteeringTable& tables);
  std::vector<rf_flow_key> takeWaiting(std::size_t keys_max);
  std::optional<Question> takeQuestion(const rf_flow_key& key);
  void add(uint64_t Figures::* figure, uint64_t n = 1);

  const std::shared_ptr<FlowStore> store_;
  const Limits limits_;
  const std::function<void()> on_waiting_;
  const FirewallFind find_in_firewall_;

  // Held while it is called.
  InheritingMutex nobodys_lock_;
  OnNobodys on_nobodys_;

  // Held for no look at the store, which may be a system call.
  mutable InheritingMutex lock_;
  Tables tables_ = std::make_shared<const SteeringTable>();
  std::unordered_map<rf_flow_key, Question, KeyHash, KeyEqual> questions_;
  std::size_t waiting_ = 0;  // of those
  Rate asks_;
  Rate tells_;
  Rate lookups_;
  std::map<uint16_t, std::deque<FlowRecord>> told_;
  std::size_t told_count_ = 0;
  Figures figures_;
};

}  // namespace rainfront
