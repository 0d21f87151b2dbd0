#include "flow_exchange.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "../port/clock.h"

namespace rainfront {

namespace {

// Not secret: how many there are in these tables is limited.
constexpr rf_hash_key kFixed = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f};

uint64_t hashOf(const rf_flow_key& key, const SteeringTable& tables) { return rf_flow_hash(&key, &tables.secret); }

uint32_t sinceOf(uint16_t node, const SteeringTable& tables) { return tables.assignment ? tables.assignment->since[node] : 0; }

// As rf_assignment_holds.
bool holds(const rf_assignment& assignment, const SteeringTable& tables) {
  const uint32_t since = sinceOf(assignment.node, tables);
  return since != 0 && assignment.epoch >= since;
}

// A node that has been away since may have forgotten it, and in another view nobody's may be somebody's: then nothing is known, as rf_decide has it.
bool isOutdated(const rf_assignment& assignment, const SteeringTable& tables) {
  if (assignment.node == 0) return assignment.epoch != tables.assignment->epoch;
  // Whose node has gone is its authority's, but for the answers of translated connections: of those another one may have the copy; and so it may if this node was away since.
  if (sinceOf(assignment.node, tables) == 0) return rf_assignment_has(&assignment, RF_ASSIGNED_ALIAS) || assignment.epoch < sinceOf(tables.self, tables);
  return !holds(assignment, tables);
}

}  // namespace

std::size_t FlowExchange::KeyHash::operator()(const rf_flow_key& key) const { return static_cast<std::size_t>(rf_flow_hash(&key, &kFixed)); }

FlowExchange::FlowExchange(std::shared_ptr<FlowStore> store, const Limits& limits, std::function<void()> on_waiting, FirewallFind find_in_firewall)
    : store_(std::move(store)), limits_(limits), on_waiting_(std::move(on_waiting)), find_in_firewall_(std::move(find_in_firewall)) {}

void FlowExchange::become(std::shared_ptr<const SteeringTable> tables) {
  const std::lock_guard guard(lock_);
  tables_ = std::move(tables);
}

FlowExchange::Tables FlowExchange::tables() const {
  const std::lock_guard guard(lock_);
  return tables_;
}

void FlowExchange::add(uint64_t Figures::* figure, uint64_t n) {
  const std::lock_guard guard(lock_);
  figures_.*figure += n;
}

bool FlowExchange::Rate::mayOneMore(uint64_t now_ns, std::size_t per_s, std::size_t n) {
  if (now_ns - since_ns >= RF_SECOND_NS) *this = {now_ns, 0};
  if (count + n > per_s) return false;
  count += n;
  return true;
}

bool FlowExchange::ask(const rf_flow_key& key) {
  bool is_first = false;
  {
    const std::lock_guard guard(lock_);
    if (questions_.contains(key)) return true;
    if (questions_.size() >= limits_.questions_max || !asks_.mayOneMore(monotonicNow_ns(), limits_.questions_per_s)) {
      figures_.asked_full++;
      return false;
    }
    questions_.emplace(key, Question{});
    is_first = waiting_++ == 0;
  }
  if (is_first) on_waiting_();
  return true;
}

void FlowExchange::tell(uint16_t peer, const FlowRecord& record) {
  bool is_first = false;
  {
    const std::lock_guard guard(lock_);
    if (told_count_ >= limits_.told_max || !tells_.mayOneMore(monotonicNow_ns(), limits_.told_per_s)) {
      figures_.told_full++;
      return;
    }
    told_[peer].push_back(record);
    is_first = told_count_++ == 0;
  }
  if (is_first) on_waiting_();
}

bool FlowExchange::isSettled(const rf_flow_key& key) const {
  const Tables now = tables();
  if (!now->assignment) return false;
  const auto seen = store_->peek(key, hashOf(key, *now), monotonicNow_ns());
  return seen && !isOutdated(seen->assignment, *now);
}

FlowRecord FlowExchange::remember(const rf_flow_key& key, uint16_t node, bool is_alias, const SteeringTable& tables, bool is_begun) {
  const unsigned life = key.protocol != RF_PROTO_TCP ? RF_LIFE_DATAGRAM : is_begun ? RF_LIFE_STREAM : RF_LIFE_OPENING;
  const rf_assignment assignment{tables.assignment->epoch, node, 0, rf_flags_and_life(is_alias ? RF_ASSIGNED_ALIAS : 0, life)};
  put(key, assignment, tables);
  return {key, assignment};
}

std::optional<SeenFlow> FlowExchange::held(const rf_flow_key& key, const SteeringTable& tables) const {
  const auto seen = store_->peek(key, hashOf(key, tables), monotonicNow_ns());
  return seen && seen->assignment.node != 0 && holds(seen->assignment, tables) ? seen : std::nullopt;
}

uint16_t FlowExchange::handlerOf(const rf_flow_key& key) const {
  const auto sight = peek(key);
  return sight && sight->is_held ? sight->flow.assignment.node : uint16_t{0};
}

bool FlowExchange::isAlias(const rf_flow_key& key) const {
  const auto sight = peek(key);
  return sight && rf_assignment_has(&sight->flow.assignment, RF_ASSIGNED_ALIAS);
}

bool FlowExchange::isAnothers(const rf_flow_key& key) const {
  const Tables now = tables();
  const auto seen = now->assignment ? held(key, *now) : std::nullopt;
  if (!seen || seen->assignment.node == now->self || rf_assignment_life(&seen->assignment) == RF_LIFE_CLOSING) return false;
  return seen->idle_ns >> RF_PERIOD_SHIFT <= RF_QUIET_PERIODS;
}

uint32_t FlowExchange::epoch() const {
  const Tables now = tables();
  return now->assignment ? now->assignment->epoch : 0;
}

uint32_t FlowExchange::memberSince(uint16_t node) const { return sinceOf(node, *tables()); }

bool FlowExchange::own(const rf_flow_key& key, bool is_alias, bool is_begun) {
  const Tables now = tables();
  if (!now->has_view || !now->assignment) return false;
  const FlowRecord record = remember(key, now->self, is_alias, *now, is_begun);
  const uint16_t authority = authorityOf(key, *now);
  if (authority != 0 && authority != now->self) tell(authority, record);
  return true;
}

void FlowExchange::give(const rf_flow_key& key, uint16_t node, bool is_alias) {
  const Tables now = tables();
  if (now->has_view && sinceOf(node, *now) != 0) (void)remember(key, node, is_alias, *now);
}

std::optional<FlowExchange::Sight> FlowExchange::peek(const rf_flow_key& key) const {
  const Tables now = tables();
  const auto seen = store_->peek(key, hashOf(key, *now), monotonicNow_ns());
  if (!seen) return std::nullopt;
  return Sight{*seen, holds(seen->assignment, *now)};
}

FlowExchange::Overview FlowExchange::overview(std::optional<uint16_t> node, std::size_t flows_max) const {
  const Tables now = tables();
  Overview all;
  store_->forEach(monotonicNow_ns(), [&](const SeenFlow& seen) {
    all.of_nodes[seen.assignment.node]++;
    const bool is_wanted = !node || *node == seen.assignment.node;
    if (is_wanted && all.flows.size() < flows_max) all.flows.push_back({seen, holds(seen.assignment, *now)});
    return true;
  });
  return all;
}

std::vector<rf_flow_key> FlowExchange::takeWaiting(std::size_t keys_max) {
  const std::lock_guard guard(lock_);
  std::vector<rf_flow_key> keys;
  if (waiting_ == 0) return keys;
  for (auto& [key, question] : questions_) {
    if (keys.size() >= keys_max) break;
    if (std::exchange(question.is_asked, true)) continue;
    keys.push_back(key);
    waiting_--;
  }
  return keys;
}

// Of each what the firewall knows; nothing at all where it could not be asked. Throws std::length_error: too many in this second.
std::optional<std::vector<std::optional<FirewallConnection>>> FlowExchange::inFirewall(std::span<const rf_flow_key> keys) {
  if (!find_in_firewall_ || keys.empty()) return std::nullopt;
  {
    const std::lock_guard guard(lock_);
    if (!lookups_.mayOneMore(monotonicNow_ns(), limits_.lookups_per_s, keys.size())) {
      figures_.firewall_full += keys.size();
      throw std::length_error("too many flows to look up");
    }
  }
  try {
    return find_in_firewall_(keys);
  } catch (const std::exception&) {
    add(&Figures::firewall_failed);
    return std::nullopt;
  }
}

// Those that this node handles, as far as it knows. Throws as inFirewall.
std::vector<FlowRecord> FlowExchange::claims(std::span<const rf_flow_key> keys, const SteeringTable& tables) {
  const auto connections = inFirewall(keys);
  const auto connectionOf = [&](std::size_t i) { return connections ? (*connections)[i] : std::nullopt; };
  std::vector<FlowRecord> all;
  for (std::size_t i = 0; i < keys.size(); i++) {
    const rf_flow_key& key = keys[i];
    ClaimedFlows known{held(key, tables), std::nullopt};
    const auto connection = connectionOf(i);
    if (connection) known.other = held(KeyEqual{}(key, connection->first) ? connection->answer : connection->first, tables);
    const bool was_ours = known.asked && known.asked->assignment.node == tables.self;
    const auto claim = claimOf(key, known, connection, connections.has_value(), tables.self, tables.assignment->epoch);
    if (!claim) continue;
    all.push_back({key, *claim});
    if (!was_ours) add(&Figures::answered_by_firewall);
    // Nobody knows better: its packets go by it from now on.
    if (!was_ours && !rf_assignment_has(&*claim, RF_ASSIGNED_GUESSED)) put(key, *claim, tables);
  }
  return all;
}

void FlowExchange::put(const rf_flow_key& key, const rf_assignment& assignment, const SteeringTable& tables) {
  const int place = rf_assignment_life(&assignment) == RF_LIFE_OPENING ? RF_FLOW_OPENING : RF_FLOW_ESTABLISHED;
  const uint64_t hash = hashOf(key, tables), now_ns = monotonicNow_ns();
  const auto seen = store_->peek(key, hash, now_ns);
  store_->put(key, hash, assignment, seen && seen->place == RF_FLOW_ESTABLISHED ? RF_FLOW_ESTABLISHED : place, now_ns);
}

std::vector<uint8_t> FlowExchange::takeQuestions(std::size_t bytes_max) {
  const Tables now = tables();
  std::vector<uint8_t> bytes;
  while (bytes.empty()) {
    const std::vector<rf_flow_key> keys = takeWaiting(bytes_max / kFlowKeyBytes);
    if (keys.empty()) break;
    const auto own = now->has_view && now->assignment ? ownAnswers(keys, *now) : std::vector<FlowRecord>{};
    for (const rf_flow_key& key : keys) {
      const bool is_own = std::any_of(own.begin(), own.end(), [&](const FlowRecord& record) { return KeyEqual{}(record.key, key); });
      if (!is_own) appendFlowKey(bytes, key);
      else if (takeQuestion(key)) add(&Figures::found);
    }
    add(&Figures::asked, bytes.size() / kFlowKeyBytes);
  }
  return bytes;
}

// Those that this node handles for certain: the others need not be asked. Who is not a flow's authority asks since a peer takes the flow for this node's: if the firewall has its connection,
// two say so.
std::vector<FlowRecord> FlowExchange::ownAnswers(std::span<const rf_flow_key> keys, const SteeringTable& tables) {
  std::vector<FlowRecord> own;
  try {
    own = claims(keys, tables);
  } catch (const std::length_error&) {
    return own;
  }
  std::erase_if(own, [&](FlowRecord& record) {
    rf_assignment& mine = record.assignment;
    if (!rf_assignment_has(&mine, RF_ASSIGNED_GUESSED)) return false;
    const uint16_t authority = authorityOf(record.key, tables);
    if (authority == 0 || authority == tables.self || !isOfFirewall(mine)) return true;
    mine.count = 0;
    mine.flags_and_life &= ~unsigned{RF_ASSIGNED_GUESSED};
    put(record.key, mine, tables);
    return false;
  });
  return own;
}

std::optional<std::vector<uint8_t>> FlowExchange::answer(std::span<const uint8_t> asked) {
  const Tables now = tables();
  if (!now->has_view || !now->assignment) return std::nullopt;
  std::vector<rf_flow_key> keys;
  while (!asked.empty()) {
    const auto key = takeFlowKey(asked);
    if (!key) {
      add(&Figures::malformed);
      break;
    }
    keys.push_back(*key);
  }
  std::vector<uint8_t> records;
  try {
    for (const FlowRecord& record : claims(keys, *now)) appendFlowRecord(records, record);
  } catch (const std::length_error&) {
    return std::nullopt;
  }
  add(&Figures::answered, records.size() / kFlowRecordBytes);
  return records;
}

std::optional<FlowExchange::Question> FlowExchange::takeQuestion(const rf_flow_key& key) {
  const std::lock_guard guard(lock_);
  const auto found = questions_.find(key);
  if (found == questions_.end()) return std::nullopt;
  const Question question = found->second;
  if (!question.is_asked) waiting_--;
  questions_.erase(found);
  return question;
}

bool FlowExchange::isAnswered(const rf_flow_key& key) const {
  const std::lock_guard guard(lock_);
  const auto question = questions_.find(key);
  return question != questions_.end() && question->second.is_answered;
}

void FlowExchange::noteAnswer(const rf_flow_key& key) {
  const std::lock_guard guard(lock_);
  const auto question = questions_.find(key);
  if (question != questions_.end()) question->second.is_answered = true;
}

void FlowExchange::keepGuess(const FlowRecord& guess) {
  const std::lock_guard guard(lock_);
  const auto question = questions_.find(guess.key);
  if (question == questions_.end()) return;
  auto& known = question->second.guess;
  if (!known || isLikelier(guess.assignment, *known)) known = guess.assignment;
}

void FlowExchange::hearNobodys(OnNobodys on_nobodys) {
  const std::lock_guard guard(nobodys_lock_);
  on_nobodys_ = std::move(on_nobodys);
}

void FlowExchange::settle(std::span<const uint8_t> keys) {
  const Tables now = tables();
  if (!now->has_view || !now->assignment) return abandon(keys);
  std::vector<rf_flow_key> unknown;
  for (std::span<const uint8_t> rest = keys; const auto key = takeFlowKey(rest);) {
    const auto seen = store_->peek(*key, hashOf(*key, *now), monotonicNow_ns());
    if (isAnswered(*key) || (seen && !isOutdated(seen->assignment, *now))) {
      if (takeQuestion(*key)) add(&Figures::found);
    } else {
      unknown.push_back(*key);
    }
  }
  // What nobody knows may be what some firewall alone knows.
  try {
    for (const FlowRecord& claim : claims(unknown, *now)) keepGuess(claim);
  } catch (const std::length_error&) {
    return abandon(keys);
  }
  std::vector<rf_flow_key> nobodys;
  for (const rf_flow_key& key : unknown) {
    const auto question = takeQuestion(key);
    if (!question) continue;
    const uint64_t hash = hashOf(key, *now);
    rf_found_flow found{};
    const int place = store_->find(key, hash, monotonicNow_ns(), &found);
    const bool is_guess = question->guess && holds(*question->guess, *now);
    if (is_guess) {
      rf_assignment guess = *question->guess;
      guess.count = 0;
      put(key, guess, *now);
    } else {
      const rf_assignment nobody = {now->assignment->epoch, 0, 0, RF_ASSIGNED_ASKED};
      store_->put(key, hash, nobody, place == RF_FLOW_UNKNOWN ? RF_FLOW_OPENING : place, monotonicNow_ns());
      nobodys.push_back(key);
    }
    add(is_guess ? &Figures::found : &Figures::unknown);
  }
  if (nobodys.empty()) return;
  const std::lock_guard guard(nobodys_lock_);
  if (on_nobodys_) on_nobodys_(nobodys);
}

void FlowExchange::abandon(std::span<const uint8_t> keys) {
  while (const auto key = takeFlowKey(keys)) {
    if (takeQuestion(*key)) add(&Figures::abandoned);
  }
}

// What was to be said of a connection that is over meanwhile would be heard as said of the next one between its ends.
bool FlowExchange::isStillSo(const FlowRecord& record, const SteeringTable& tables) const {
  const auto seen = store_->peek(record.key, hashOf(record.key, tables), monotonicNow_ns());
  return seen && seen->assignment.node == record.assignment.node && rf_assignment_life(&seen->assignment) != RF_LIFE_CLOSING;
}

std::vector<FlowExchange::Delivery> FlowExchange::takeTold(std::size_t bytes_max) {
  const Tables now = tables();
  std::vector<Delivery> deliveries;
  // Until there is something to say, or nothing is left.
  while (deliveries.empty()) {
    const auto taken = takeRecords(bytes_max);
    if (taken.empty()) break;
    for (const auto& [node, records] : taken) {
      Delivery delivery{node, {}};
      for (const FlowRecord& record : records) {
        if (isStillSo(record, *now)) appendFlowRecord(delivery.records, record);
      }
      if (delivery.records.empty()) continue;
      add(&Figures::told, delivery.records.size() / kFlowRecordBytes);
      deliveries.push_back(std::move(delivery));
    }
  }
  return deliveries;
}

std::map<uint16_t, std::vector<FlowRecord>> FlowExchange::takeRecords(std::size_t bytes_max) {
  const std::lock_guard guard(lock_);
  std::map<uint16_t, std::vector<FlowRecord>> taken;
  for (auto at = told_.begin(); at != told_.end();) {
    auto& [node, records] = *at;
    const std::size_t count = std::min(records.size(), bytes_max / kFlowRecordBytes);
    const auto end = records.begin() + static_cast<std::ptrdiff_t>(count);
    taken[node].assign(records.begin(), end);
    records.erase(records.begin(), end);
    told_count_ -= count;
    at = records.empty() ? told_.erase(at) : std::next(at);
  }
  return taken;
}

void FlowExchange::learn(std::span<const uint8_t> records) {
  const Tables now = tables();
  const uint64_t now_ns = monotonicNow_ns();
  while (!records.empty()) {
    const auto record = takeFlowRecord(records);
    if (!record) return add(&Figures::malformed);
    if (!holds(record->assignment, *now)) {
      add(&Figures::outdated);
      continue;
    }
    const uint64_t hash = hashOf(record->key, *now);
    rf_found_flow found{};
    const int place = store_->find(record->key, hash, now_ns, &found);
    const bool is_said = place != RF_FLOW_UNKNOWN && found.assignment.node != 0 && holds(found.assignment, *now);
    if (rf_assignment_has(&record->assignment, RF_ASSIGNED_GUESSED)) {
      keepGuess(*record);
      continue;
    }
    noteAnswer(record->key);
    const bool opens = rf_assignment_life(&record->assignment) == RF_LIFE_OPENING && place != RF_FLOW_ESTABLISHED;
    rf_assignment said = record->assignment;
    // Who handles a flow may have learned so by a relay, which does not say that it is an alias.
    if (is_said && found.assignment.node == said.node) said.flags_and_life |= found.assignment.flags_and_life & RF_ASSIGNED_ALIAS;
    store_->put(record->key, hash, said, opens ? RF_FLOW_OPENING : RF_FLOW_ESTABLISHED, now_ns);
    add(&Figures::learned);
    const uint16_t before = found.assignment.node;
    if (!is_said || before == now->self || before == record->assignment.node) continue;
    tell(before, *record);
    add(&Figures::corrected);
  }
}

FlowExchange::Figures FlowExchange::figures() const {
  const std::lock_guard guard(lock_);
  return figures_;
}

}  // namespace rainfront
