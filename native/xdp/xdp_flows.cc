#include "xdp_flows.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "attachment.h"
#include "layout.h"

namespace rainfront {

namespace {

constexpr const char* kEstablished = "flows";
constexpr const char* kOpening = "flows_opening";

bpf_map_info infoOf(int map_fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  (void)bpf_obj_get_info_by_fd(map_fd, &info, &size);
  return info;
}

bool isOf(const bpf_map_info& info, std::string_view name, std::size_t entries) {
  return name == info.name && info.type == BPF_MAP_TYPE_LRU_HASH && info.key_size == sizeof(rf_flow_key) && info.value_size == sizeof(rf_flow_record) && info.max_entries == entries;
}

Fd newMap(const char* name, std::size_t entries) {
  Fd map(bpf_map_create(BPF_MAP_TYPE_LRU_HASH, name, sizeof(rf_flow_key), sizeof(rf_flow_record), static_cast<uint32_t>(entries), nullptr));
  if (map.get() >= 0) return map;
  if (errno == EPERM || errno == EACCES) throw PortError("RF_NO_PRIVILEGE", "a map of flows needs CAP_BPF and CAP_NET_ADMIN, or root", errno);
  throw PortError("RF_XDP_LOAD", "a map of " + std::to_string(entries) + " flows is refused by the kernel", errno);
}

template <class Visit>
void forEachKey(int map_fd, Visit visit) {
  rf_flow_key key{};
  while (bpf_map_get_next_key(map_fd, nullptr, &key) == 0) visit(key);
}

bool isAlive(const rf_flow_record& record, uint64_t now_ns) { return now_ns <= record.seen_ns + rf_life_ns(rf_assignment_life(&record.assignment)); }

// As rf_tables_find_flow.
bool findIn(int map_fd, const rf_flow_key& key, uint64_t now_ns, rf_found_flow* found) {
  rf_flow_record record{};
  if (bpf_map_lookup_elem(map_fd, &key, &record) != 0) return false;
  *found = {record.assignment, now_ns >> RF_PERIOD_SHIFT != record.seen_ns >> RF_PERIOD_SHIFT};
  return isAlive(record, now_ns);
}

SeenFlow seenIn(int place, const rf_flow_key& key, const rf_flow_record& record, uint64_t now_ns) {
  return {key, record.assignment, place, now_ns - std::min(now_ns, record.seen_ns)};
}

// More than one of the map's buckets has, which the kernel gives whole.
constexpr uint32_t kBatch = 4096;

// False: `visit` said so.
template <class Visit>
bool forEachRecord(int map_fd, Visit visit) {
  std::vector<rf_flow_key> keys(kBatch);
  std::vector<rf_flow_record> records(kBatch);
  rf_flow_key at{};  // the kernel's word for where it is
  for (bool is_first = true;; is_first = false) {
    uint32_t count = kBatch;
    const int failed = bpf_map_lookup_batch(map_fd, is_first ? nullptr : &at, &at, keys.data(), records.data(), &count, nullptr);
    // ENOENT: these are the last.
    if (failed != 0 && errno != ENOENT) throw PortError("RF_XDP_LOAD", "the kernel does not show its map of flows", errno);
    for (uint32_t i = 0; i < count; i++) {
      if (!visit(keys[i], records[i])) return false;
    }
    if (failed != 0) return true;
  }
}

}  // namespace

XdpFlows::XdpFlows(const FlowCapacities& capacities, std::span<const unsigned> nic_indices) {
  for (const unsigned nic_index : nic_indices) adopt(nic_index, capacities);
  if (established_.get() >= 0 && opening_.get() >= 0) return;
  established_ = newMap(kEstablished, capacities.established);
  opening_ = newMap(kOpening, capacities.opening);
}

void XdpFlows::adopt(unsigned nic_index, const FlowCapacities& capacities) {
  auto attached = attachedXdp(nic_index);
  if (!attached || !attached->is_ours) return;
  for (Fd& map : attached->maps) {
    const bpf_map_info info = infoOf(map.get());
    if (isOf(info, kEstablished, capacities.established)) established_ = std::move(map);
    else if (isOf(info, kOpening, capacities.opening)) opening_ = std::move(map);
  }
}

int XdpFlows::find(const rf_flow_key& key, uint64_t, uint64_t now_ns, rf_found_flow* found) const {
  if (findIn(established_.get(), key, now_ns, found)) return RF_FLOW_ESTABLISHED;
  return findIn(opening_.get(), key, now_ns, found) ? RF_FLOW_OPENING : RF_FLOW_UNKNOWN;
}

void XdpFlows::put(const rf_flow_key& key, uint64_t, const rf_assignment& assignment, int place, uint64_t now_ns) {
  const rf_flow_record record = {now_ns, assignment};
  // An LRU map has room, or loses one of the others; a key of the right size is never refused.
  (void)bpf_map_update_elem(place == RF_FLOW_OPENING ? opening_.get() : established_.get(), &key, &record, BPF_ANY);
}

std::array<std::pair<int, int>, 2> XdpFlows::maps() const { return {{{RF_FLOW_ESTABLISHED, established_.get()}, {RF_FLOW_OPENING, opening_.get()}}}; }

std::optional<SeenFlow> XdpFlows::peek(const rf_flow_key& key, uint64_t, uint64_t now_ns) const {
  for (const auto& [place, map_fd] : maps()) {
    rf_flow_record record{};
    if (bpf_map_lookup_elem(map_fd, &key, &record) == 0 && isAlive(record, now_ns)) return seenIn(place, key, record, now_ns);
  }
  return std::nullopt;
}

void XdpFlows::forEach(uint64_t now_ns, const std::function<bool(const SeenFlow&)>& visit) const {
  for (const auto& [place, map_fd] : maps()) {
    const int in = place;
    const bool goes_on = forEachRecord(map_fd, [&](const rf_flow_key& key, const rf_flow_record& record) { return !isAlive(record, now_ns) || visit(seenIn(in, key, record, now_ns)); });
    if (!goes_on) return;
  }
}

void XdpFlows::forget() {
  for (const int map_fd : {established_.get(), opening_.get()}) {
    forEachKey(map_fd, [map_fd](const rf_flow_key& key) { (void)bpf_map_delete_elem(map_fd, &key); });
  }
}

}  // namespace rainfront
