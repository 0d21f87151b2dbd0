#include "record.h"

#include "../steer/ethernet.h"

namespace rainfront {

namespace {

constexpr uint8_t kTold = static_cast<uint8_t>(~RF_ASSIGNMENT_FLAGS) | RF_ASSIGNED_FROM_LOW | RF_ASSIGNED_ANSWERED | RF_ASSIGNED_ALIAS | RF_ASSIGNED_GUESSED;

void append(std::vector<uint8_t>& out, uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i > 0; i--) out.push_back(static_cast<uint8_t>(value >> (8 * (i - 1))));
}

}  // namespace

void appendFlowKey(std::vector<uint8_t>& out, const rf_flow_key& key) {
  for (const uint64_t word : {key.addr_low[0], key.addr_low[1], key.addr_high[0], key.addr_high[1]}) append(out, word, 8);
  append(out, key.ports, 4);
  append(out, key.family, 2);
  append(out, key.protocol, 2);
}

void appendFlowRecord(std::vector<uint8_t>& out, const FlowRecord& record) {
  appendFlowKey(out, record.key);
  append(out, record.assignment.epoch, 4);
  append(out, record.assignment.node, 2);
  append(out, record.assignment.flags_and_life & kTold, 1);
  append(out, rf_assignment_has(&record.assignment, RF_ASSIGNED_GUESSED) ? record.assignment.count : 0u, 1);
}

std::optional<rf_flow_key> takeFlowKey(std::span<const uint8_t>& bytes) {
  if (bytes.size() < kFlowKeyBytes) return std::nullopt;
  const uint8_t* p = bytes.data();
  const rf_flow_key key = {{rf_load64(p), rf_load64(p + 8)}, {rf_load64(p + 16), rf_load64(p + 24)}, rf_load32(p + 32), rf_load16(p + 36), rf_load16(p + 38)};
  if ((key.family != RF_ETHERTYPE_IPV4 && key.family != RF_ETHERTYPE_IPV6) || key.protocol > 255) return std::nullopt;
  bytes = bytes.subspan(kFlowKeyBytes);
  return key;
}

std::optional<FlowRecord> takeFlowRecord(std::span<const uint8_t>& bytes) {
  std::span<const uint8_t> rest = bytes;
  const auto key = takeFlowKey(rest);
  if (!key || rest.size() < kFlowRecordBytes - kFlowKeyBytes) return std::nullopt;
  const rf_assignment assignment = {rf_load32(rest.data()), rf_load16(rest.data() + 4), rest[7], rest[6]};
  const bool has_count = assignment.count != 0 && !rf_assignment_has(&assignment, RF_ASSIGNED_GUESSED);
  if ((assignment.flags_and_life & ~kTold) != 0 || assignment.node == 0 || has_count) return std::nullopt;
  bytes = rest.subspan(kFlowRecordBytes - kFlowKeyBytes);
  return FlowRecord{*key, assignment};
}

}  // namespace rainfront
