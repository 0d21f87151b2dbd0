#include "attachment.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <array>
#include <string_view>
#include <cerrno>

namespace rainfront {

namespace {

constexpr std::size_t kMaps_max = 64;

[[noreturn]] void failed(const std::string& what, int error, const char* capability = "CAP_NET_ADMIN") {
  if (error == EPERM || error == EACCES) throw PortError("RF_NO_PRIVILEGE", what + " needs " + capability + ", or root", error);
  throw PortError("RF_XDP_ATTACH", what, error);
}

// The kernel hands out programs and maps by their ids to nobody with less.
constexpr const char* kById = "CAP_SYS_ADMIN";

bpf_prog_info infoOf(const Fd& program, std::vector<uint32_t>* map_ids) {
  bpf_prog_info info{};
  if (map_ids != nullptr) {
    info.nr_map_ids = static_cast<uint32_t>(map_ids->size());
    info.map_ids = reinterpret_cast<uint64_t>(map_ids->data());
  }
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) failed("asking for an XDP program", errno);
  return info;
}

std::vector<Fd> mapsOf(const Fd& program) {
  std::vector<uint32_t> ids(kMaps_max);
  const bpf_prog_info info = infoOf(program, &ids);
  std::vector<Fd> maps;
  for (std::size_t i = 0; i < std::min<std::size_t>(info.nr_map_ids, ids.size()); i++) {
    Fd map(bpf_map_get_fd_by_id(ids[i]));
    if (map.get() < 0) failed("opening a map of an XDP program", errno, kById);
    maps.push_back(std::move(map));
  }
  return maps;
}

bpf_xdp_query_opts query(unsigned nic_index) {
  bpf_xdp_query_opts options{};
  options.sz = sizeof options;
  const int error = bpf_xdp_query(static_cast<int>(nic_index), 0, &options);
  if (error != 0) failed("asking for a NIC's XDP program", -error);
  return options;
}

int attach(unsigned nic_index, int program, uint32_t mode, const Fd* before) {
  bpf_xdp_attach_opts options{};
  options.sz = sizeof options;
  uint32_t flags = mode;
  if (before == nullptr) {
    flags |= XDP_FLAGS_UPDATE_IF_NOEXIST;
  } else {
    options.old_prog_fd = before->get();
  }
  return -bpf_xdp_attach(static_cast<int>(nic_index), program, flags, &options);
}

}  // namespace

std::optional<AttachedXdp> attachedXdp(unsigned nic_index) {
  const bpf_xdp_query_opts found = query(nic_index);
  if (found.attach_mode == XDP_ATTACHED_NONE) return std::nullopt;
  // With several at once (driver, generic, hardware) the first is somebody else's or all of them are of no use to us.
  const bool is_single = found.attach_mode != XDP_ATTACHED_MULTI;
  const uint32_t id = is_single ? found.prog_id : (found.drv_prog_id != 0 ? found.drv_prog_id : found.skb_prog_id);
  Fd program(bpf_prog_get_fd_by_id(id));
  if (program.get() < 0) {
    if (errno == ENOENT) return std::nullopt;  // gone meanwhile
    failed("opening a NIC's XDP program", errno, kById);
  }
  const std::string name = infoOf(program, nullptr).name;
  const bool is_ours = is_single && name == XdpProgram::kName;
  std::vector<Fd> maps = is_ours ? mapsOf(program) : std::vector<Fd>();
  return AttachedXdp{id, name, is_ours, found.attach_mode == XDP_ATTACHED_SKB, std::move(program), std::move(maps)};
}

uint64_t leaseUntil_ns(const AttachedXdp& attached) {
  for (const Fd& map : attached.maps) {
    bpf_map_info info{};
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0 || std::string_view(info.name) != "port_state" || info.value_size != sizeof(rf_port_state)) continue;
    rf_port_state state{};
    const uint32_t zero = 0;
    if (bpf_map_lookup_elem(map.get(), &zero, &state) == 0 && state.layout == RF_XDP_LAYOUT) return state.lease_until_ns;
  }
  return 0;
}

bool attachXdp(unsigned nic_index, const XdpProgram& program, const std::optional<AttachedXdp>& before) {
  if (before && !before->is_ours)
    throw PortError("RF_XDP_TAKEN", "the NIC runs another XDP program, " + before->name + " (id " + std::to_string(before->id) + ")", EBUSY);
  if (before) {
    const int error = attach(nic_index, program.fd(), before->is_generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE, &before->program);
    if (error != 0) failed("replacing the XDP program of an earlier daemon", error);
    return before->is_generic;
  }
  const int in_driver = attach(nic_index, program.fd(), XDP_FLAGS_DRV_MODE, nullptr);
  if (in_driver == 0) return false;
  if (in_driver == EBUSY || in_driver == EEXIST) throw PortError("RF_XDP_TAKEN", "another XDP program took the NIC meanwhile", in_driver);
  const int generic = attach(nic_index, program.fd(), XDP_FLAGS_SKB_MODE, nullptr);
  if (generic != 0) failed("attaching the XDP program", generic);
  return true;
}

bool detachXdp(unsigned nic_index) {
  const auto found = attachedXdp(nic_index);
  if (!found || !found->is_ours) return false;
  const int error = attach(nic_index, -1, found->is_generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE, &found->program);
  if (error != 0 && error != ENOENT) failed("taking the XDP program off", error);
  return true;
}

}  // namespace rainfront
