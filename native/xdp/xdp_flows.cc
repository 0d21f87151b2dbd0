#include "xdp_flows.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <string_view>

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

// As rf_tables_find_flow.
bool findEstablished(int map_fd, const rf_flow_key& key, uint64_t now_ns, rf_found_flow* found) {
  rf_flow_record record{};
  if (bpf_map_lookup_elem(map_fd, &key, &record) != 0) return false;
  *found = {record.assignment, now_ns >> RF_PERIOD_SHIFT != record.seen_ns >> RF_PERIOD_SHIFT};
  return now_ns <= record.seen_ns + rf_life_ns(rf_assignment_life(&found->assignment));
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
  if (!attached || !attached->is_ours) return;
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

void XdpFlows::forget() {
  rf_flow_key key{};
  while (bpf_map_get_next_key(established_.get(), nullptr, &key) == 0) (void)bpf_map_delete_elem(established_.get(), &key);
  const rf_opening_bucket empty{};
  const uint32_t buckets = infoOf(opening_.get()).max_entries;
  for (uint32_t index = 0; index < buckets; index++) (void)bpf_map_update_elem(opening_.get(), &index, &empty, BPF_F_LOCK);
}

}  // namespace rainfront
