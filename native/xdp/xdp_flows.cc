#include "xdp_flows.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "attachment.h"
#include "layout.h"
#include "opening.h"

extern "C" {
extern const uint8_t rf_bpf_object[];
extern const uint8_t rf_bpf_object_end[];
}

namespace rainfront {

namespace {

constexpr const char* kEstablished = "flows";
constexpr const char* kOpening = "flows_opening";

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

bpf_map_info infoOf(int map_fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  (void)bpf_obj_get_info_by_fd(map_fd, &info, &size);
  return info;
}

bool isOf(const bpf_map_info& info, std::string_view name, bpf_map_type type, std::size_t value_size, std::size_t entries) {
  return name == info.name && info.type == static_cast<uint32_t>(type) && info.value_size == value_size && info.max_entries == entries;
}

std::size_t bucketsFor(std::size_t flows) { return std::bit_ceil((flows + RF_OPENING_SLOTS - 1) / RF_OPENING_SLOTS); }

[[noreturn]] void refused(const FlowCapacities& capacities, int error) {
  if (error == EPERM || error == EACCES) throw PortError("RF_NO_PRIVILEGE", "maps of flows need CAP_BPF and CAP_NET_ADMIN, or root", error);
  throw PortError("RF_XDP_LOAD", "maps of " + std::to_string(capacities.established) + " and " + std::to_string(capacities.opening) + " flows are refused by the kernel", error);
}

// The program's maps of flows without the program: what they are is said in tables.bpf.h.
Object mapsOf(const FlowCapacities& capacities) {
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "rainfront";
  Object object(bpf_object__open_mem(rf_bpf_object, static_cast<std::size_t>(rf_bpf_object_end - rf_bpf_object), &options));
  if (object == nullptr) refused(capacities, errno);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) bpf_program__set_autoload(program, false);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) bpf_map__set_autocreate(map, false);
  for (const auto& [name, entries] : {std::pair{kEstablished, capacities.established}, std::pair{kOpening, bucketsFor(capacities.opening)}}) {
    bpf_map* wanted = bpf_object__find_map_by_name(object.get(), name);
    bpf_map__set_autocreate(wanted, true);
    bpf_map__set_max_entries(wanted, static_cast<uint32_t>(entries));
  }
  const int error = bpf_object__load(object.get());
  if (error != 0) refused(capacities, -error);
  return object;
}

Fd mapIn(const Object& object, const char* name) { return Fd(::fcntl(bpf_object__find_map_fd_by_name(object.get(), name), F_DUPFD_CLOEXEC, 0)); }

bool isAlive(const rf_flow_record& record, uint64_t now_ns) { return now_ns <= record.seen_ns + rf_life_ns(rf_assignment_life(&record.assignment)); }

// As rf_tables_find_flow.
bool findEstablished(int map_fd, const rf_flow_key& key, uint64_t now_ns, rf_found_flow* found) {
  rf_flow_record record{};
  if (bpf_map_lookup_elem(map_fd, &key, &record) != 0) return false;
  *found = {record.assignment, rf_periods_between(record.seen_ns, now_ns)};
  return isAlive(record, now_ns);
}

SeenFlow seenIn(int place, const rf_flow_key& key, const rf_flow_record& record, uint64_t now_ns) {
  return {key, record.assignment, place, now_ns - std::min(now_ns, record.seen_ns)};
}

// Nothing: the slot is free, or what is there has outlived itself.
std::optional<SeenFlow> openingIn(const rf_opening_bucket& bucket, uint32_t slot, uint64_t now_ns) {
  if (bucket.tags[slot] == 0) return std::nullopt;
  const auto& [key, assignment] = bucket.slots[slot];
  const uint32_t ticks = rf_opening_age(rf_opening_ticks(now_ns), bucket.seen[slot]);
  // Another CPU may be ahead with the time.
  const uint64_t idle_ns = uint64_t{std::max(ticks, RF_OPENING_AHEAD_MAX) - RF_OPENING_AHEAD_MAX} << RF_OPENING_TICK_SHIFT;
  if (idle_ns > rf_life_ns(rf_assignment_life(&assignment))) return std::nullopt;
  return SeenFlow{key, assignment, RF_FLOW_OPENING, idle_ns};
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

// What an earlier version's program put into its maps may mean something else.
bool isOfThisLayout(const std::vector<Fd>& maps) {
  for (const Fd& map : maps) {
    const bpf_map_info info = infoOf(map.get());
    if (std::string_view("port_state") != info.name || info.value_size != sizeof(rf_port_state)) continue;
    const uint32_t zero = 0;
    rf_port_state state{};
    return bpf_map_lookup_elem(map.get(), &zero, &state) == 0 && state.layout == RF_XDP_LAYOUT;
  }
  return false;
}

}  // namespace

XdpFlows::XdpFlows(const FlowCapacities& capacities, std::span<const unsigned> nic_indices) {
  for (const unsigned nic_index : nic_indices) adopt(nic_index, capacities);
  if (established_.get() >= 0 && opening_.get() >= 0) return;
  const Object maps = mapsOf(capacities);
  established_ = mapIn(maps, kEstablished);
  opening_ = mapIn(maps, kOpening);
  if (established_.get() < 0 || opening_.get() < 0) refused(capacities, errno);
}

void XdpFlows::adopt(unsigned nic_index, const FlowCapacities& capacities) {
  auto attached = attachedXdp(nic_index);
  if (!attached || !attached->is_ours || !isOfThisLayout(attached->maps)) return;
  for (Fd& map : attached->maps) {
    const bpf_map_info info = infoOf(map.get());
    if (isOf(info, kEstablished, BPF_MAP_TYPE_LRU_HASH, sizeof(rf_flow_record), capacities.established)) established_ = std::move(map);
    else if (isOf(info, kOpening, BPF_MAP_TYPE_ARRAY, sizeof(rf_opening_bucket), bucketsFor(capacities.opening))) opening_ = std::move(map);
  }
}

uint32_t XdpFlows::bucketOf(uint64_t hash) const { return static_cast<uint32_t>(hash) & (infoOf(opening_.get()).max_entries - 1); }

int XdpFlows::find(const rf_flow_key& key, uint64_t hash, uint64_t now_ns, rf_found_flow* found) const {
  if (findEstablished(established_.get(), key, now_ns, found)) return RF_FLOW_ESTABLISHED;
  const uint32_t index = bucketOf(hash);
  rf_opening_bucket bucket{};
  if (bpf_map_lookup_elem_flags(opening_.get(), &index, &bucket, BPF_F_LOCK) != 0) return RF_FLOW_UNKNOWN;
  return rf_opening_find(&bucket, &key, hash, now_ns, found) ? RF_FLOW_OPENING : RF_FLOW_UNKNOWN;
}

void XdpFlows::put(const rf_flow_key& key, uint64_t hash, const rf_assignment& assignment, int place, uint64_t now_ns) {
  if (place == RF_FLOW_OPENING) return putOpening(key, hash, assignment, now_ns);
  const rf_flow_record record = {now_ns, assignment};
  // An LRU map has room, or loses one of the others; a key of the right size is never refused.
  (void)bpf_map_update_elem(established_.get(), &key, &record, BPF_ANY);
}

// What the program puts into the same bucket between the two calls is lost: the next packet of that flow is asked for.
void XdpFlows::putOpening(const rf_flow_key& key, uint64_t hash, const rf_assignment& assignment, uint64_t now_ns) {
  const uint32_t index = bucketOf(hash);
  rf_opening_bucket bucket{};
  if (bpf_map_lookup_elem_flags(opening_.get(), &index, &bucket, BPF_F_LOCK) != 0) return;
  rf_opening_put(&bucket, &key, hash, &assignment, now_ns);
  (void)bpf_map_update_elem(opening_.get(), &index, &bucket, BPF_F_LOCK);
}

std::optional<SeenFlow> XdpFlows::peek(const rf_flow_key& key, uint64_t hash, uint64_t now_ns) const {
  rf_flow_record record{};
  if (bpf_map_lookup_elem(established_.get(), &key, &record) == 0 && isAlive(record, now_ns)) return seenIn(RF_FLOW_ESTABLISHED, key, record, now_ns);
  const uint32_t index = bucketOf(hash);
  rf_opening_bucket bucket{};
  if (bpf_map_lookup_elem_flags(opening_.get(), &index, &bucket, BPF_F_LOCK) != 0) return std::nullopt;
  const uint32_t slot = rf_opening_tagged(&bucket, rf_opening_tag(hash));
  if (slot >= RF_OPENING_SLOTS || !rf_opening_has(&bucket.slots[slot], &key)) return std::nullopt;
  return openingIn(bucket, slot, now_ns);
}

void XdpFlows::forEach(uint64_t now_ns, const std::function<bool(const SeenFlow&)>& visit) const {
  const bool goes_on = forEachRecord(established_.get(), [&](const rf_flow_key& key, const rf_flow_record& record) {
    return !isAlive(record, now_ns) || visit(seenIn(RF_FLOW_ESTABLISHED, key, record, now_ns));
  });
  if (!goes_on) return;
  const uint32_t buckets = infoOf(opening_.get()).max_entries;
  for (uint32_t index = 0; index < buckets; index++) {
    rf_opening_bucket bucket{};
    if (bpf_map_lookup_elem_flags(opening_.get(), &index, &bucket, BPF_F_LOCK) != 0) continue;
    for (uint32_t slot = 0; slot < RF_OPENING_SLOTS; slot++) {
      const auto flow = openingIn(bucket, slot, now_ns);
      if (flow && !visit(*flow)) return;
    }
  }
}

void XdpFlows::forget() {
  rf_flow_key key{};
  while (bpf_map_get_next_key(established_.get(), nullptr, &key) == 0) (void)bpf_map_delete_elem(established_.get(), &key);
  const rf_opening_bucket empty{};
  const uint32_t buckets = infoOf(opening_.get()).max_entries;
  for (uint32_t index = 0; index < buckets; index++) (void)bpf_map_update_elem(opening_.get(), &index, &empty, BPF_F_LOCK);
}

}  // namespace rainfront
