// A flow and who handles it, as nodes tell each other: 48 bytes, big-endian. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "../steer/assignment.h"
#include "../steer/flow_key.h"

namespace rainfront {

struct FlowRecord {
  rf_flow_key key;
  rf_assignment assignment;  // with its count where it is a guess: see claim.h
};

inline constexpr std::size_t kFlowKeyBytes = 40;
inline constexpr std::size_t kFlowRecordBytes = kFlowKeyBytes + 8;

void appendFlowKey(std::vector<uint8_t>& out, const rf_flow_key& key);
void appendFlowRecord(std::vector<uint8_t>& out, const FlowRecord& record);

// Takes the first one off `bytes`. Nothing: it is cut off, or no flow's.
std::optional<rf_flow_key> takeFlowKey(std::span<const uint8_t>& bytes);
std::optional<FlowRecord> takeFlowRecord(std::span<const uint8_t>& bytes);

}  // namespace rainfront
