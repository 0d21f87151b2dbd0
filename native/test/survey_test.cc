// Who has an address, asked over a real cable, with a machine at its other end that answers.
#include "../neighbor/survey.h"

#include <doctest/doctest.h>

#include "ipv6_packets.h"
#include "port_fixture.h"

namespace rainfront::test {

namespace {

const Mac kOwn = {0x06, 0, 0, 0, 0, 1};
const Bytes kVip6 = ipv6Host(0x65);
constexpr std::chrono::milliseconds kSurvey{2'000};

Bytes arpProbe() { return arpFrame({kBroadcast, kOwn, ArpOperation::request, kOwn, {}, 0, kVip}); }

Bytes duplicateProbe() {
  const Bytes group = ipv6SolicitedNode(kVip6);
  return ethernet(groupMac(group), kOwn, RF_ETHERTYPE_IPV6, solicitation(ipv6Unspecified(), group, kVip6));
}

Bytes defence(const Bytes& options = linkLayerOption(2, kStranger)) {
  return ethernet(groupMac(ipv6AllNodes()), nodeMac(2), RF_ETHERTYPE_IPV6, advertisement(0x20, kVip6, ipv6AllNodes(), kVip6, options));
}

// Sends `answers` once it has heard all of `questions`, in this order.
std::vector<SurveyAnswer> surveyBeside(const std::vector<Bytes>& questions, const std::vector<Bytes>& answers) {
  const Cable cable;
  Listener there("there");
  bool has_heard = true;
  std::thread machine([&] {
    for (const Bytes& question : questions) has_heard = there.hears(question) && has_heard;
    sendFrom("there", answers);
  });
  const std::array asked = {ipv4Address(kVip), addressOf(kVip6)};
  const auto found = survey("here", kOwn, asked, kSurvey);
  machine.join();
  CHECK(has_heard);
  return found;
}

}  // namespace

TEST_CASE("a survey asks for IPv4 and IPv6 addresses without a claim of its own, and tells who answers, once") {
  if (!inOwnNamespace()) return;
  const auto found = surveyBeside({arpProbe(), duplicateProbe()}, {arpAnswer(), defence(), arpAnswer(), defence({})});
  const std::vector<SurveyAnswer> expected = {{ipv4Address(kVip), nodeMac(1)}, {addressOf(kVip6), kStranger}, {addressOf(kVip6), nodeMac(2)}};
  CHECK(found == expected);
}

TEST_CASE("a survey believes no advertisement that is broken, forwarded or of another address") {
  if (!inOwnNamespace()) return;
  Bytes broken = defence();
  broken.back() ^= 1;
  Bytes cut = defence();
  cut.resize(cut.size() - 9);
  const Bytes plain = advertisement(0x20, kVip6, ipv6AllNodes(), kVip6);
  const Bytes forwarded = ethernet(groupMac(ipv6AllNodes()), nodeMac(2), RF_ETHERTYPE_IPV6, ipv6(58, kVip6, ipv6AllNodes(), Bytes(plain.begin() + 40, plain.end()), 254));
  const Bytes other = ethernet(groupMac(ipv6AllNodes()), nodeMac(2), RF_ETHERTYPE_IPV6, advertisement(0x20, kVip6, ipv6AllNodes(), ipv6Host(0x66)));
  CHECK(surveyBeside({arpProbe(), duplicateProbe()}, {broken, cut, forwarded, other}).empty());
}

}  // namespace rainfront::test
