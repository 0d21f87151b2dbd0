#include "claim.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "../steer/flow.h"
#include "../tables/flow_bucket.h"

namespace rainfront {

namespace {

// Of the byte that tells how likely a guess is.
constexpr uint64_t kNever = 127;
constexpr uint64_t kUnseen = 128;
constexpr uint64_t kExact = 64;
constexpr uint64_t kNobodyHasSeenIt = std::numeric_limits<uint64_t>::max();

bool goesOn(const SeenFlow& flow) { return rf_assignment_life(&flow.assignment) != RF_LIFE_CLOSING; }

uint64_t periodsOf(const SeenFlow& flow) { return flow.idle_ns >> RF_PERIOD_SHIFT; }

// Below kNever: exact for a minute, then eight steps to each doubling, for some four hours.
uint64_t rankOf(uint64_t periods) {
  if (periods < kExact) return periods;
  const unsigned doublings = static_cast<unsigned>(std::bit_width(periods / kExact)) - 1;
  const uint64_t eighths = (periods * 8 >> doublings) / kExact - 8;
  return std::min(kExact + 8 * doublings + eighths, kNever - 1);
}

bool isTcp(const rf_flow_key& key) { return key.protocol == RF_PROTO_TCP; }

// An alias opens until its next packet but the answer to a SYN, which it is asked for.
unsigned lifeOf(const rf_flow_key& key, const FirewallConnection& connection, bool is_alias) {
  if (!isTcp(key)) return RF_LIFE_DATAGRAM;
  return connection.is_assured && !is_alias ? RF_LIFE_STREAM : RF_LIFE_OPENING;
}

// `rank`: nothing of a claim that nobody can know better.
rf_assignment claimed(uint16_t self, uint32_t epoch, unsigned flags, unsigned life, std::optional<uint64_t> rank) {
  if (!rank) return {epoch, self, 0, rf_flags_and_life(flags, life)};
  return {epoch, self, static_cast<uint8_t>(*rank), rf_flags_and_life(flags | RF_ASSIGNED_GUESSED, life)};
}

// The packet path alone knows it.
std::optional<rf_assignment> claimUnseen(const rf_flow_key& key, const ClaimedFlows& known, bool is_asked, uint16_t self, uint32_t epoch) {
  if (!known.asked || known.asked->assignment.node != self) return std::nullopt;
  const rf_assignment& mine = known.asked->assignment;
  const uint64_t periods = periodsOf(*known.asked);
  const bool is_sure = !isTcp(key) || (!is_asked && goesOn(*known.asked) && periods <= RF_QUIET_PERIODS);
  const uint64_t rank = rankOf(periods) + (is_asked ? kUnseen : 0);
  return claimed(self, epoch, mine.flags_and_life & RF_ASSIGNMENT_FLAGS & ~unsigned{RF_ASSIGNED_GUESSED}, rf_assignment_life(&mine), is_sure ? std::nullopt : std::optional(rank));
}

}  // namespace

std::optional<rf_assignment> claimOf(const rf_flow_key& key, const ClaimedFlows& known, const std::optional<FirewallConnection>& connection, bool is_asked, uint16_t self, uint32_t epoch) {
  if (!connection) return claimUnseen(key, known, is_asked, self, epoch);
  uint64_t periods = kNobodyHasSeenIt;
  bool is_ours = false, is_anothers = false;
  for (const auto* flow : {&known.asked, &known.other}) {
    if (!*flow) continue;
    const bool is_own = (*flow)->assignment.node == self;
    if (goesOn(**flow)) (is_own ? is_ours : is_anothers) = true;
    if (is_own) periods = std::min(periods, periodsOf(**flow));
  }
  // What the packet path knows goes before what the firewall has, of which the connection may have gone to another node since.
  if (is_anothers && !is_ours) return std::nullopt;
  const bool is_own = known.asked && known.asked->assignment.node == self;
  unsigned flags = is_own ? known.asked->assignment.flags_and_life & RF_ASSIGNMENT_FLAGS & ~unsigned{RF_ASSIGNED_GUESSED} : 0u;
  const bool is_alias = flowWords(key) != flowWords(connection->first);
  if (is_alias) flags |= RF_ASSIGNED_ALIAS;
  if (connection->is_answered) flags |= RF_ASSIGNED_ANSWERED;
  const bool is_sure = is_ours && (!isTcp(key) || periods <= RF_QUIET_PERIODS);
  return claimed(self, epoch, flags, lifeOf(key, *connection, is_alias), is_sure ? std::nullopt : std::optional(periods == kNobodyHasSeenIt ? kNever : rankOf(periods)));
}

bool isOfFirewall(const rf_assignment& guess) { return guess.count < kUnseen; }

bool isLikelier(const rf_assignment& said, const rf_assignment& known) {
  if (said.count != known.count) return said.count < known.count;
  const bool is_answered = rf_assignment_has(&said, RF_ASSIGNED_ANSWERED);
  if (is_answered != rf_assignment_has(&known, RF_ASSIGNED_ANSWERED)) return is_answered;
  // The same one for both flows of a translated connection.
  return said.node < known.node;
}

}  // namespace rainfront
