#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <numeric>

extern "C" {
extern const uint8_t rf_bpf_object[];
extern const uint8_t rf_bpf_object_end[];
}

namespace rainfront {

namespace {

constexpr const char* kProgram = "rf_xdp";
// An answer may be longer than its question.
constexpr std::size_t kGrowth_max = 256;

int quiet(libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

void XdpProgram::Close::operator()(bpf_object* object) const { bpf_object__close(object); }

XdpProgram::XdpProgram(const Mac& front_mac, const Mac& nic_mac) {
  libbpf_set_print(quiet);
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "rainfront";
  object_.reset(bpf_object__open_mem(rf_bpf_object, static_cast<std::size_t>(rf_bpf_object_end - rf_bpf_object), &options));
  if (object_ == nullptr) throw PortError("RF_XDP_LOAD", "the XDP program cannot be read", errno);
  const int error = bpf_object__load(object_.get());
  if (error == -EPERM || error == -EACCES) throw PortError("RF_NO_PRIVILEGE", "loading an XDP program needs CAP_BPF and CAP_NET_ADMIN, or root", -error);
  if (error != 0) throw PortError("RF_XDP_LOAD", "the kernel refuses the XDP program", -error);
  std::memcpy(state_.front_mac, front_mac.data(), front_mac.size());
  std::memcpy(state_.nic_mac, nic_mac.data(), nic_mac.size());
  putState();
}

int XdpProgram::map(const char* name) const { return bpf_object__find_map_fd_by_name(object_.get(), name); }

template <typename Key, typename Value>
void XdpProgram::put(const char* map_name, const Key& key, const Value& value) {
  const int error = bpf_map_update_elem(map(map_name), &key, &value, BPF_ANY);
  if (error != 0) throw PortError("RF_XDP_LOAD", std::string("the map ") + map_name + " takes no entry", -error);
}

template <typename Value>
void XdpProgram::putAll(const char* map_name, std::vector<Value> values) {
  std::vector<uint32_t> keys(values.size());
  std::iota(keys.begin(), keys.end(), 0u);
  auto count = static_cast<uint32_t>(values.size());
  const int error = bpf_map_update_batch(map(map_name), keys.data(), values.data(), &count, nullptr);
  if (error != 0) throw PortError("RF_XDP_LOAD", std::string("the map ") + map_name + " takes no entries", -error);
}

void XdpProgram::putState() { put("port_state", uint32_t{0}, state_); }

void XdpProgram::setTables(const SteeringTable& table) {
  putAll("maglev", std::vector<uint16_t>(table.slots.begin(), table.slots.end()));
  std::vector<uint8_t> members(table.members.size());
  for (std::size_t node = 0; node < members.size(); node++) members[node] = table.members.test(node);
  putAll("members", std::move(members));
  state_.self = table.self;
  state_.has_view = table.has_view;
  state_.secret = table.secret;
  putState();
}

void XdpProgram::setVips(const VipSet& vips) {
  rf_vip_key key{};
  while (bpf_map_get_next_key(map("vips"), nullptr, &key) == 0) bpf_map_delete_elem(map("vips"), &key);
  for (const Vip& vip : vips.all()) put("vips", rf_vip_key{{vip.address.high, vip.address.low}, vip.address.family, {}}, vip.state);
}

void XdpProgram::setLease(uint64_t until_ns) {
  state_.lease_until_ns = until_ns;
  putState();
}

std::vector<uint64_t> XdpProgram::counters() const {
  std::vector<uint64_t> sums(RF_COUNTER_COUNT);
  std::vector<uint64_t> of_cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  for (uint32_t index = 0; index < RF_COUNTER_COUNT; index++) {
    if (bpf_map_lookup_elem(map("counters"), &index, of_cpus.data()) != 0) throw PortError("RF_XDP_LOAD", "a counter cannot be read", errno);
    for (const uint64_t count : of_cpus) sums[index] += count;
  }
  return sums;
}

XdpProgram::Run XdpProgram::run(std::span<const uint8_t> frame, uint64_t now_ns) {
  state_.clock_ns = now_ns;
  putState();
  std::vector<uint8_t> out(frame.size() + kGrowth_max);
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<uint32_t>(out.size());
  options.repeat = 1;
  const int program = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), kProgram));
  const int error = bpf_prog_test_run_opts(program, &options);
  state_.clock_ns = 0;
  if (error != 0) throw PortError("RF_XDP_LOAD", "the XDP program cannot be run", -error);
  out.resize(options.data_size_out);
  return {static_cast<int>(options.retval), std::move(out)};
}

}  // namespace rainfront
