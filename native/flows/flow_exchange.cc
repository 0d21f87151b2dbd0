#include "flow_exchange.h"

#include <utility>

#include "../port/clock.h"

namespace rainfront {

namespace {

// Not secret: who fills these tables has been let in by limits.
constexpr rf_hash_key kFixed = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f};

}  // namespace

std::size_t FlowExchange::KeyHash::operator()(const rf_flow_key& key) const { return static_cast<std::size_t>(rf_flow_hash(&key, &kFixed)); }

FlowExchange::FlowExchange(std::shared_ptr<FlowStore> store, const Limits& limits, std::function<void()> on_waiting)
    : store_(std::move(store)), limits_(limits), on_waiting_(std::move(on_waiting)) {}

void FlowExchange::become(std::shared_ptr<const SteeringTable> tables) {
  const std::lock_guard guard(lock_);
  tables_ = std::move(tables);
}

uint64_t FlowExchange::hashOf(const rf_flow_key& key) const { return rf_flow_hash(&key, &tables_->secret); }

// As rf_assignment_holds.
bool FlowExchange::holds(const rf_assignment& assignment) const {
  if (!tables_->assignment) return false;
  const uint32_t since = tables_->assignment->since[assignment.node];
  return since != 0 && assignment.epoch >= since;
}

bool FlowExchange::ask(const rf_flow_key& key) {
  bool is_first = false;
  {
    const std::lock_guard guard(lock_);
    if (questions_.contains(key)) return true;
    if (questions_.size() >= limits_.questions_max) {
      figures_.asked_full++;
      return false;
    }
    questions_.emplace(key, Question::waiting);
    is_first = waiting_++ == 0;
  }
  if (is_first) on_waiting_();
  return true;
}

void FlowExchange::tell(uint16_t peer, const FlowRecord& record) {
  bool is_first = false;
  {
    const std::lock_guard guard(lock_);
    if (told_count_ >= limits_.told_max) {
      figures_.told_full++;
      return;
    }
    told_[peer].push_back(record);
    is_first = told_count_++ == 0;
  }
  if (is_first) on_waiting_();
}

bool FlowExchange::isSettled(const rf_flow_key& key) const {
  std::unique_lock guard(lock_);
  const uint64_t hash = hashOf(key);
  guard.unlock();
  rf_assignment found{};
  return store_->find(key, hash, monotonicNow_ns(), &found) != RF_FLOW_UNKNOWN;
}

std::vector<uint8_t> FlowExchange::takeQuestions(std::size_t bytes_max) {
  const std::lock_guard guard(lock_);
  std::vector<uint8_t> keys;
  if (waiting_ == 0) return keys;
  for (auto& [key, question] : questions_) {
    if (keys.size() + kFlowKeyBytes > bytes_max) break;
    if (std::exchange(question, Question::asked) == Question::asked) continue;
    appendFlowKey(keys, key);
    waiting_--;
    figures_.asked++;
  }
  return keys;
}

std::vector<uint8_t> FlowExchange::answer(std::span<const uint8_t> keys) {
  const std::lock_guard guard(lock_);
  std::vector<uint8_t> records;
  const uint64_t now_ns = monotonicNow_ns();
  while (!keys.empty()) {
    const auto key = takeFlowKey(keys);
    if (!key) {
      figures_.malformed++;
      break;
    }
    rf_assignment found{};
    const bool is_known = store_->find(*key, hashOf(*key), now_ns, &found) != RF_FLOW_UNKNOWN;
    if (!is_known || found.node != tables_->self || !holds(found)) continue;
    // As of now: this node has been a member all the time since it was given the flow.
    found.epoch = tables_->assignment->epoch;
    appendFlowRecord(records, {*key, found});
    figures_.answered++;
  }
  return records;
}

void FlowExchange::settle(std::span<const uint8_t> keys) {
  const std::lock_guard guard(lock_);
  const uint64_t now_ns = monotonicNow_ns();
  while (const auto key = takeFlowKey(keys)) {
    const auto question = questions_.find(*key);
    if (question == questions_.end()) continue;
    if (question->second == Question::waiting) waiting_--;
    questions_.erase(question);
    rf_assignment known{};
    if (store_->find(*key, hashOf(*key), now_ns, &known) != RF_FLOW_UNKNOWN) {
      figures_.found++;
      continue;
    }
    const rf_assignment nobody = {tables_->assignment ? tables_->assignment->epoch : 0, 0, 0, RF_ASSIGNED_ASKED};
    store_->put(*key, hashOf(*key), nobody, RF_FLOW_OPENING, now_ns);
    figures_.unknown++;
  }
}

std::vector<FlowExchange::Delivery> FlowExchange::takeTold(std::size_t bytes_max) {
  const std::lock_guard guard(lock_);
  std::vector<Delivery> deliveries;
  for (auto at = told_.begin(); at != told_.end();) {
    auto& [node, records] = *at;
    Delivery delivery{node, {}};
    std::size_t taken = 0;
    for (; taken < records.size() && delivery.records.size() + kFlowRecordBytes <= bytes_max; taken++) appendFlowRecord(delivery.records, records[taken]);
    records.erase(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(taken));
    told_count_ -= taken;
    figures_.told += taken;
    deliveries.push_back(std::move(delivery));
    at = records.empty() ? told_.erase(at) : std::next(at);
  }
  return deliveries;
}

void FlowExchange::learn(std::span<const uint8_t> records) {
  const std::lock_guard guard(lock_);
  const uint64_t now_ns = monotonicNow_ns();
  while (!records.empty()) {
    const auto record = takeFlowRecord(records);
    if (!record) {
      figures_.malformed++;
      return;
    }
    if (!holds(record->assignment)) {
      figures_.outdated++;
      continue;
    }
    const uint64_t hash = hashOf(record->key);
    rf_assignment known{};
    const int place = store_->find(record->key, hash, now_ns, &known);
    store_->put(record->key, hash, record->assignment, place == RF_FLOW_UNKNOWN ? RF_FLOW_ESTABLISHED : place, now_ns);
    figures_.learned++;
  }
}

FlowExchange::Figures FlowExchange::figures() const {
  const std::lock_guard guard(lock_);
  return figures_;
}

}  // namespace rainfront
