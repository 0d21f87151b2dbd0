#include <doctest/doctest.h>

#include "../flows/claim.h"
#include "../steer/flow.h"

using namespace rainfront;

namespace {

constexpr uint16_t kSelf = 1, kOther = 2;
constexpr uint32_t kEpoch = 9;
constexpr uint64_t kPeriod_ns = uint64_t{1} << RF_PERIOD_SHIFT;

rf_flow_key keyOf(uint16_t port, uint16_t protocol = RF_PROTO_TCP) { return {{0, 1}, {0, 2}, uint32_t{port} << 16 | 80, RF_ETHERTYPE_IPV4, protocol}; }

const rf_flow_key kKey = keyOf(1), kAlias = keyOf(2), kDatagrams = keyOf(3, RF_PROTO_UDP);

SeenFlow seenAs(uint16_t node, uint64_t periods = 0, enum rf_flow_life life = RF_LIFE_STREAM) {
  return {kKey, {kEpoch - 1, node, 7, rf_flags_and_life(RF_ASSIGNED_FROM_LOW, life)}, RF_FLOW_ESTABLISHED, periods * kPeriod_ns};
}

FirewallConnection between(const rf_flow_key& first, const rf_flow_key& answer, bool is_assured = true) { return {first, answer, is_assured, is_assured}; }

bool isGuess(const std::optional<rf_assignment>& claim) { return claim && rf_assignment_has(&*claim, RF_ASSIGNED_GUESSED); }

std::optional<rf_assignment> claim(const ClaimedFlows& known, const std::optional<FirewallConnection>& connection, const rf_flow_key& key = kKey) {
  return claimOf(key, known, connection, true, kSelf, kEpoch);
}

}  // namespace

TEST_CASE("a node is sure of a flow that its packet path and its firewall know") {
  const auto sure = claim({seenAs(kSelf), seenAs(kSelf)}, between(kKey, kKey));
  REQUIRE(sure);
  CHECK_FALSE(isGuess(sure));
  CHECK(sure->node == kSelf);
  CHECK(sure->epoch == kEpoch);
  CHECK(sure->count == 0);
  CHECK(rf_assignment_life(&*sure) == RF_LIFE_STREAM);
  CHECK(rf_assignment_has(&*sure, RF_ASSIGNED_FROM_LOW));
}

TEST_CASE("it guesses that it handles what its firewall does not know, or its packet path has not seen for long") {
  CHECK(isGuess(claim({seenAs(kSelf, 3), std::nullopt}, std::nullopt)));
  CHECK(claim({seenAs(kSelf, 3), std::nullopt}, std::nullopt)->count == 128 + 3);
  CHECK(isGuess(claim({seenAs(kSelf, RF_QUIET_PERIODS + 1), std::nullopt}, between(kKey, kKey))));
  CHECK_FALSE(isGuess(claim({seenAs(kSelf, RF_QUIET_PERIODS), std::nullopt}, between(kKey, kKey))));
  CHECK(isGuess(claim({seenAs(kSelf, 5, RF_LIFE_CLOSING), std::nullopt}, between(kKey, kKey))));
  CHECK(claim({seenAs(kSelf, 5, RF_LIFE_CLOSING), std::nullopt}, between(kKey, kKey))->count == 5);
  CHECK(isGuess(claim({std::nullopt, std::nullopt}, between(kKey, kKey))));
  CHECK(claim({seenAs(kSelf, 100'000), std::nullopt}, std::nullopt)->count == 128 + 126);
  CHECK(claim({std::nullopt, std::nullopt}, between(kKey, kKey))->count == 127);
}

TEST_CASE("where the firewall could not be asked the packet path's word counts") {
  const auto alone = [](uint64_t periods, enum rf_flow_life life = RF_LIFE_STREAM) { return claimOf(kKey, {seenAs(kSelf, periods, life), std::nullopt}, std::nullopt, false, kSelf, kEpoch); };
  CHECK_FALSE(isGuess(alone(3)));
  CHECK(isGuess(alone(RF_QUIET_PERIODS + 1)));
  CHECK(alone(40)->count == 40);
  CHECK(isGuess(alone(0, RF_LIFE_CLOSING)));
}

TEST_CASE("the longer a flow was not seen, the less likely is the guess, and less than any is one of what was never seen") {
  const auto countAfter = [](uint64_t periods) { return claim({seenAs(kSelf, periods), std::nullopt}, between(kKey, kKey))->count; };
  uint8_t last = countAfter(RF_QUIET_PERIODS + 1);
  for (uint64_t periods = 40; periods < 7'000; periods += periods / 6) {
    CHECK(countAfter(periods) > last);
    last = countAfter(periods);
  }
  CHECK(countAfter(1'000'000) == 126);
  CHECK(countAfter(63) == 63);
  CHECK(countAfter(64) == 64);
  CHECK(countAfter(128) == 72);
}

TEST_CASE("but not of datagrams, which begin no other connection between the same ends") {
  CHECK_FALSE(isGuess(claim({seenAs(kSelf, 200, RF_LIFE_DATAGRAM), std::nullopt}, std::nullopt, kDatagrams)));
  const auto known = claim({seenAs(kSelf, 200, RF_LIFE_DATAGRAM), std::nullopt}, between(kDatagrams, kDatagrams), kDatagrams);
  CHECK_FALSE(isGuess(known));
  CHECK(rf_assignment_life(&*known) == RF_LIFE_DATAGRAM);
}

TEST_CASE("it says nothing of what it does not know, and of what another node handles") {
  CHECK_FALSE(claim({std::nullopt, std::nullopt}, std::nullopt));
  CHECK_FALSE(claim({seenAs(kOther), std::nullopt}, std::nullopt));
  CHECK_FALSE(claim({seenAs(kOther), std::nullopt}, between(kKey, kKey)));
  CHECK_FALSE(claim({std::nullopt, seenAs(kOther)}, between(kAlias, kKey)));
  CHECK(isGuess(claim({seenAs(kOther, 0, RF_LIFE_CLOSING), std::nullopt}, between(kKey, kKey))));
}

TEST_CASE("both flows of a translated connection go together, whatever was heard of one") {
  const auto alias = claim({std::nullopt, seenAs(kSelf)}, between(kAlias, kKey));
  REQUIRE(alias);
  CHECK_FALSE(isGuess(alias));
  CHECK(rf_assignment_has(&*alias, RF_ASSIGNED_ALIAS));
  CHECK(rf_assignment_life(&*alias) == RF_LIFE_OPENING);
  CHECK_FALSE(isGuess(claim({seenAs(kOther), seenAs(kSelf)}, between(kAlias, kKey))));
  CHECK_FALSE(isGuess(claim({seenAs(kSelf, 200), seenAs(kSelf, 1)}, between(kAlias, kKey))));
  const auto first = claim({seenAs(kSelf), std::nullopt}, between(kKey, kAlias));
  REQUIRE(first);
  CHECK_FALSE(rf_assignment_has(&*first, RF_ASSIGNED_ALIAS));
}

TEST_CASE("a connection opens until its first end has spoken again, whatever was known of one before") {
  const auto opening = claim({seenAs(kSelf, 0, RF_LIFE_CLOSING), seenAs(kSelf)}, between(kAlias, kKey, false));
  REQUIRE(opening);
  CHECK(rf_assignment_life(&*opening) == RF_LIFE_OPENING);
  CHECK_FALSE(rf_assignment_has(&*opening, RF_ASSIGNED_ANSWERED));
}

TEST_CASE("of two guesses the one whose packet path has seen the flow last is likelier, then the one with answers, then the lower node") {
  const auto guess = [](uint16_t node, uint8_t periods, unsigned flags = 0) { return rf_assignment{kEpoch, node, periods, rf_flags_and_life(RF_ASSIGNED_GUESSED | flags, RF_LIFE_STREAM)}; };
  CHECK(isLikelier(guess(3, 40), guess(2, 255, RF_ASSIGNED_ANSWERED)));
  CHECK_FALSE(isLikelier(guess(2, 255, RF_ASSIGNED_ANSWERED), guess(3, 40)));
  CHECK(isLikelier(guess(3, 255, RF_ASSIGNED_ANSWERED), guess(2, 255)));
  CHECK(isLikelier(guess(2, 255), guess(3, 255)));
  CHECK_FALSE(isLikelier(guess(3, 255), guess(2, 255)));
}
