// The vectors of the packet path in this build, which has sanitizers: each frame in memory of exactly its size.
#include <doctest/doctest.h>

#include <memory>

#include "../tables/steering_tables.h"
#include "vector_lines.h"

using namespace rainfront;
using namespace rainfront::test;

namespace {

constexpr std::array kKinds = {"leave", "pass", "drop", "relay", "reply", "punt"};

struct Home {
  std::unique_ptr<SteeringTable> steering;
  VipSet vips;
  FragmentTable fragments{{5, 6}};
  FlowMap flows{{.established = 1024, .opening = 256}};
  std::atomic<uint64_t> lease_until_ns;
  std::unique_ptr<rf_work> work = std::make_unique<rf_work>();

  explicit Home(const Vector& vector) : steering(vector.table()), vips(vectorVips(vector.has_ipv6)), lease_until_ns(vector.leaseUntil_ns()) {
    for (const auto& [key, assignment] : vector.known) flows.put(key, rf_flow_hash(&key, &kVectorSecret), assignment, RF_FLOW_ESTABLISHED, kVectorNow_ns);
  }

  void check(const VectorFrame& expected) {
    const std::size_t length = expected.frame.size();
    const auto frame = std::make_unique<uint8_t[]>(length);
    std::copy(expected.frame.begin(), expected.frame.end(), frame.get());
    const Mac mac = nodeMac(steering->self);
    const rf_tables tables{steering.get(), &vips, &fragments, &lease_until_ns, &flows};
    const rf_bytes bytes = rf_bytes_of(frame.get(), static_cast<uint32_t>(length));
    const rf_verdict verdict = rf_steer(&bytes, bytes, mac.data(), &tables, expected.now_ns, work.get());
    CHECK(std::string(kKinds.at(verdict.kind)) == expected.kind);
    CHECK(verdict.node == expected.node);
    CHECK((verdict.cause == 0 ? "-" : kCounterNames.at(verdict.cause)) == expected.cause);
    CHECK(bool{verdict.from_peer != 0} == expected.from_peer);
    CHECK(bool{verdict.conflict != 0} == expected.conflict);
    CHECK(verdict.told == expected.told);
    if (verdict.kind == RF_VERDICT_RELAY) {
      rf_relay_rewrite(frame.get(), mac.data(), verdict.node, verdict.relay);
      CHECK(Bytes(frame.get(), frame.get() + length) == expected.out);
    }
    if (verdict.kind == RF_VERDICT_REPLY) CHECK(Bytes(work->reply.frame, work->reply.frame + work->reply.len) == expected.out);
  }
};

}  // namespace

TEST_CASE("every vector of the packet path has its outcome") {
  const auto vectors = readVectors();
  if (!vectors) {
    MESSAGE("skipped: RF_VECTORS names no file");
    return;
  }
  CHECK(vectors->size() >= 250);
  for (const Vector& vector : *vectors) {
    CAPTURE(vector.name);
    Home home(vector);
    for (const VectorFrame& frame : vector.frames) home.check(frame);
  }
}
