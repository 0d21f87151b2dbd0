// What the XDP programs remember of flows, as user space sees it in the kernel's maps.
#ifdef RF_HAS_XDP
#include <doctest/doctest.h>

#include <memory>

#include "../xdp/xdp_flows.h"
#include "vector_lines.h"

using namespace rainfront;
using namespace rainfront::test;

TEST_CASE("all flows in the kernel's maps are seen, more than it shows at a time, and those that nobody has seen for long are not") {
  std::unique_ptr<XdpFlows> opened;
  try {
    opened = std::make_unique<XdpFlows>(FlowCapacities{.established = 20'000, .opening = 256});
  } catch (const PortError& error) {
    REQUIRE(error.code == "RF_NO_PRIVILEGE");
    MESSAGE("skipped: " << error.what());
    return;
  }
  XdpFlows& flows = *opened;
  const auto flowOf = [](uint16_t port) { return keyOf(ipv4({}, udp(port, 53))); };
  const auto life = static_cast<uint8_t>(RF_LIFE_DATAGRAM << RF_ASSIGNMENT_LIFE_SHIFT);
  constexpr uint64_t kNow_ns = RF_LIFE_DATAGRAM_NS + 7;
  constexpr uint16_t kMany = 9'000;
  for (uint16_t port = 1; port <= kMany; port++) flows.put(flowOf(port), 0, {1, 2, 0, life}, RF_FLOW_ESTABLISHED, kNow_ns);
  flows.put(flowOf(kMany + 1), 0, {1, 3, 0, life}, RF_FLOW_OPENING, kNow_ns);
  flows.put(flowOf(kMany + 2), 0, {1, 4, 0, life}, RF_FLOW_ESTABLISHED, 0);
  std::size_t established = 0, opening = 0, old = 0;
  flows.forEach(kNow_ns + 5, [&](const SeenFlow& seen) {
    established += seen.place == RF_FLOW_ESTABLISHED && seen.assignment.node == 2 && seen.idle_ns == 5 ? 1 : 0;
    opening += seen.place == RF_FLOW_OPENING && seen.assignment.node == 3 ? 1 : 0;
    old += seen.assignment.node == 4 ? 1 : 0;
    return true;
  });
  CHECK(established == kMany);
  CHECK(opening == 1);
  CHECK(old == 0);
  int visited = 0;
  flows.forEach(kNow_ns, [&](const SeenFlow&) { return ++visited < 3; });
  CHECK(visited == 3);
  const auto seen = flows.peek(flowOf(7), 0, kNow_ns + 5);
  REQUIRE(seen);
  CHECK(seen->assignment.node == 2);
  CHECK(seen->idle_ns == 5);
  CHECK_FALSE(flows.peek(flowOf(kMany + 2), 0, kNow_ns));
  CHECK_FALSE(flows.peek(flowOf(kMany + 3), 0, kNow_ns));
}

#endif
