#include "program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "../port/clock.h"
#include "../steer/steer.h"
#include "opening.h"

extern "C" {
extern const uint8_t rf_bpf_object[];
extern const uint8_t rf_bpf_object_end[];
}

namespace rainfront {

namespace {

// An answer may be longer than its question.
constexpr std::size_t kGrowth_max = 256;
constexpr uint8_t kPoison = 0xa5;
constexpr unsigned kEventsAtATime = 256;
constexpr timespec kTurnPoll = {0, 20'000};

int quiet(libbpf_print_level, const char*, va_list) { return 0; }

[[noreturn]] void refused(const std::string& what, int error) {
  if (error == EPERM || error == EACCES) throw PortError("RF_NO_PRIVILEGE", what + " needs CAP_BPF and CAP_NET_ADMIN, or root", error);
  throw PortError("RF_XDP_LOAD", what + " is refused by the kernel", error);
}

bpf_map_info infoOf(int map_fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(map_fd, &info, &size) != 0) refused("asking for a BPF map", errno);
  return info;
}

bool isLaidOutAs(const bpf_map* map, const bpf_map_info& info) {
  return info.type == static_cast<uint32_t>(bpf_map__type(map)) && info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

// What the program serves by.
constexpr std::array<std::string_view, 7> kTables = {"port_state", "views", "assignments", "services", "turns", "vip_places", "vip_starts"};

bool isTable(std::string_view name) { return std::find(kTables.begin(), kTables.end(), name) != kTables.end(); }

rf_vip_key keyOf(const Address& address) { return {{address.high, address.low}, address.family, {}}; }

void copyBits(const std::bitset<kNodeIds>& from, uint64_t (&to)[kNodeIds / 64]) {
  for (std::size_t word = 0; word < std::size(to); word++) {
    uint64_t bits = 0;
    for (std::size_t bit = 0; bit < 64; bit++) bits |= static_cast<uint64_t>(from.test(word * 64 + bit)) << bit;
    to[word] = bits;
  }
}

// One run of the program over `frame`; what goes on is put into `out`, which may be empty.
bpf_test_run_opts testRunOf(std::span<const uint8_t> frame, std::span<uint8_t> out) {
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<uint32_t>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<uint32_t>(out.size());
  options.repeat = 1;
  return options;
}

std::size_t pagesOf(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

void XdpProgram::CloseEvents::operator()(ring_buffer* events) const { ring_buffer__free(events); }

void XdpProgram::Close::operator()(bpf_object* object) const { bpf_object__close(object); }

XdpProgram::XdpProgram(const Mac& front_mac, const XdpFlows* flows, std::span<const Fd> earlier_maps) : cpus_(static_cast<std::size_t>(libbpf_num_possible_cpus())) {
  libbpf_set_print(quiet);
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "rainfront";
  object_.reset(bpf_object__open_mem(rf_bpf_object, static_cast<std::size_t>(rf_bpf_object_end - rf_bpf_object), &options));
  if (object_ == nullptr) throw PortError("RF_XDP_LOAD", "the XDP program cannot be read", errno);
  bpf_map__set_max_entries(bpf_object__find_map_by_name(object_.get(), "turns"), static_cast<uint32_t>(cpus_));
  requireLayouts();
  takeOver(earlier_maps);
  if (flows != nullptr) shareFlows(*flows);
  const int error = bpf_object__load(object_.get());
  if (error != 0) refused("loading the XDP program", -error);
  events_.reset(ring_buffer__new(mapFd("events"), handOn, this, nullptr));
  if (!events_ || ring_buffer__add(events_.get(), mapFd("flow_events"), handOn, this) != 0) refused("reading the XDP program's events", errno);
  state_ = Mapping(mapFd("port_state"), pagesOf(sizeof(rf_port_state)));
  views_ = Mapping(mapFd("views"), pagesOf(2 * sizeof(rf_view)));
  assignments_ = Mapping(mapFd("assignments"), pagesOf(2 * sizeof(rf_assignment_view)));
  starts_ = Mapping(mapFd("vip_starts"), pagesOf(RF_VIP_COUNT_MAX * sizeof(uint64_t)));
  turns_ = Mapping(mapFd("turns"), pagesOf(cpus_ * sizeof(rf_turn)));
  setFrontMac(front_mac);
  state().opening_mask = infoOf(mapFd("flows_opening")).max_entries - 1;
  state().layout = RF_XDP_LAYOUT;
  readPlaces();
}

// What clang made of the layouts for the kernel, and the compiler of this file.
void XdpProgram::requireLayouts() const {
  struct Layout {
    const char* name;
    std::size_t key_size, value_size;
  };
  constexpr std::size_t kIndex = sizeof(uint32_t);
  const std::array<Layout, 12> layouts = {{{"port_state", kIndex, sizeof(rf_port_state)},
                                          {"views", kIndex, sizeof(rf_view)},
                                          {"assignments", kIndex, sizeof(rf_assignment_view)},
                                          {"services", sizeof(rf_service_key), sizeof(rf_service)},
                                          {"flows", sizeof(rf_flow_key), sizeof(rf_flow_record)},
                                          {"flows_opening", kIndex, sizeof(rf_opening_bucket)},
                                          {"turns", kIndex, sizeof(rf_turn)},
                                          {"vip_places", sizeof(rf_vip_key), sizeof(uint32_t)},
                                          {"vip_starts", kIndex, sizeof(uint64_t)},
                                          {"fragments", sizeof(rf_fragment_key), sizeof(rf_fragment_place)},
                                          {"counts", kIndex, sizeof(rf_counts)},
                                          {"work_of_cpu", kIndex, sizeof(rf_work)}}};
  for (const auto& [name, key_size, value_size] : layouts) {
    const bpf_map* map = bpf_object__find_map_by_name(object_.get(), name);
    if (bpf_map__key_size(map) != key_size || bpf_map__value_size(map) != value_size)
      throw PortError("RF_XDP_LOAD", std::string("the XDP program and its loader differ in the layout of ") + name, EINVAL);
  }
}

// Of the tables all or none: what is in one that is not ours to the byte cannot be told from what we would have written. The rest as far as it fits: a version
// with one counter more begins to count anew, and serves on.
void XdpProgram::takeOver(std::span<const Fd> earlier_maps) {
  std::vector<std::pair<bpf_map*, int>> pairs;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_.get()) {
    // What waits in a ring is for whoever has waited for it.
    if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF) continue;
    const auto earlier = std::find_if(earlier_maps.begin(), earlier_maps.end(), [&](const Fd& fd) {
      const bpf_map_info info = infoOf(fd.get());
      return std::strncmp(info.name, bpf_map__name(map), sizeof info.name - 1) == 0 && isLaidOutAs(map, info);
    });
    if (earlier != earlier_maps.end()) pairs.emplace_back(map, earlier->get());
    else if (isTable(bpf_map__name(map))) return;
  }
  for (const auto& [ours, fd] : pairs) {
    if (std::strcmp(bpf_map__name(ours), "port_state") != 0) continue;
    rf_port_state before{};
    const uint32_t zero = 0;
    if (bpf_map_lookup_elem(fd, &zero, &before) != 0 || before.layout != RF_XDP_LAYOUT) return;
  }
  for (const auto& [ours, fd] : pairs) {
    const int error = bpf_map__reuse_fd(ours, fd);
    if (error != 0) refused("taking over a BPF map", -error);
  }
}

void XdpProgram::shareFlows(const XdpFlows& flows) {
  for (const auto& [name, fd] : {std::pair{"flows", flows.establishedFd()}, std::pair{"flows_opening", flows.openingFd()}}) {
    const int error = bpf_map__reuse_fd(bpf_object__find_map_by_name(object_.get(), name), fd);
    if (error != 0) refused("sharing flows", -error);
  }
}

void XdpProgram::setFrontMac(const Mac& front_mac) { std::memcpy(state().front_mac, front_mac.data(), front_mac.size()); }

void XdpProgram::setRedirects(bool redirects) { std::atomic_ref<uint8_t>(state().redirects).store(redirects ? 1 : 0); }

int XdpProgram::fd() const { return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), kName)); }

uint32_t XdpProgram::verifiedInstructions() const {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd(), &info, &size) != 0) refused("asking for the XDP program", errno);
  return info.verified_insns;
}

int XdpProgram::mapFd(const char* name) const { return bpf_object__find_map_fd_by_name(object_.get(), name); }

rf_port_state& XdpProgram::state() const { return *reinterpret_cast<rf_port_state*>(state_.at(0)); }

rf_view& XdpProgram::view(uint32_t index) const { return *reinterpret_cast<rf_view*>(views_.at(index * sizeof(rf_view))); }

rf_assignment_view& XdpProgram::assignment(uint32_t index) const {
  return *reinterpret_cast<rf_assignment_view*>(assignments_.at(index * sizeof(rf_assignment_view)));
}

// A program that began with the view before the last one, and is not done yet, may see it change: it then steers one packet by a newer table.
void XdpProgram::setTables(const SteeringTable& table) {
  std::atomic_ref<uint32_t> active(state().active);
  const uint32_t next = (active.load() & 1) ^ 1;
  rf_view& target = view(next);
  target.has_view = table.has_view;
  target.self = table.self;
  target.secret = table.secret;
  std::copy(table.slots.begin(), table.slots.end(), target.slots);
  std::copy(table.departed.begin(), table.departed.end(), target.departed);
  copyBits(table.members, target.members);
  target.port_ranges = table.port_ranges;
  if (table.assignment) {
    rf_assignment_view& assigned = assignment(next);
    assigned.epoch = table.assignment->epoch;
    assigned.settled_ns = table.assignment->settled_ns;
    assigned.stickiness = static_cast<uint8_t>(table.assignment->stickiness);
    assigned.index = static_cast<uint8_t>(next);
    assigned.has_services = table.assignment->services.empty() ? 0 : 1;
    writeServices(next, table.assignment->services);
    copyBits(table.assignment->ready, assigned.ready);
    std::copy(table.assignment->since.begin(), table.assignment->since.end(), assigned.since);
    std::copy(table.assignment->choices.begin(), table.assignment->choices.end(), assigned.choices);
  }
  target.policy = static_cast<uint8_t>(table.assignment ? table.assignment->policy : RF_POLICY_HASH);
  active.store(next, std::memory_order_seq_cst);
}

// They change with the configuration only. What an earlier process left is not known here.
void XdpProgram::writeServices(uint32_t index, const ServiceSet& wanted) {
  std::optional<ServiceSet>& written = services_[index];
  if (written == wanted) return;
  const int map = mapFd("services");
  std::vector<rf_service_key> old;
  rf_service_key key{};
  for (const rf_service_key* at = nullptr; bpf_map_get_next_key(map, at, &key) == 0; at = &key)
    if (key.view == index) old.push_back(key);
  written.reset();
  for (const rf_service_key& one : old)
    if (bpf_map_delete_elem(map, &one) != 0 && errno != ENOENT) refused("removing a service", errno);
  for (const auto& [service, how] : wanted.all()) {
    key = service;
    key.view = static_cast<uint8_t>(index);
    if (bpf_map_update_elem(map, &key, &how, BPF_ANY) != 0) refused("writing a service", errno);
  }
  written = wanted;
}

void XdpProgram::readPlaces() {
  rf_vip_key key{};
  for (const rf_vip_key* at = nullptr; bpf_map_get_next_key(mapFd("vip_places"), at, &key) == 0; at = &key) {
    uint32_t place = 0;
    if (bpf_map_lookup_elem(mapFd("vip_places"), &key, &place) != 0 || place >= RF_VIP_COUNT_MAX) continue;
    places_[{key.family, key.address[0], key.address[1]}] = place;
  }
  noteIpv6();
}

void XdpProgram::noteIpv6() {
  const bool has_ipv6 = std::any_of(places_.begin(), places_.end(), [](const auto& entry) { return entry.first.family == RF_ETHERTYPE_IPV6; });
  std::atomic_ref<uint8_t>(state().carries_ipv6).store(has_ipv6 ? 1 : 0);
}

uint64_t& XdpProgram::start(uint32_t place) const { return *reinterpret_cast<uint64_t*>(starts_.at(place * sizeof(uint64_t))); }

uint32_t XdpProgram::freePlace() const {
  std::vector<bool> taken(RF_VIP_COUNT_MAX);
  for (const auto& [address, place] : places_) taken[place] = true;
  const auto found = std::find(taken.begin(), taken.end(), false);
  if (found == taken.end()) refused("one more VIP", E2BIG);
  return static_cast<uint32_t>(found - taken.begin());
}

void XdpProgram::setVips(const VipSet& vips) {
  const int map = mapFd("vip_places");
  const auto store = [this](uint32_t place, uint64_t value) { std::atomic_ref<uint64_t>(start(place)).store(value, std::memory_order_seq_cst); };
  for (const auto& [address, place] : places_) {
    const Vip* vip = vips.find(address);
    store(place, vip != nullptr && vip->state.owned ? vip->state.from_ns : RF_VIP_NOT_OURS);
  }
  for (auto at = places_.begin(); at != places_.end();) {
    const rf_vip_key key = keyOf(at->first);
    if (vips.find(at->first) != nullptr) {
      at++;
      continue;
    }
    if (bpf_map_delete_elem(map, &key) != 0 && errno != ENOENT) refused("removing a VIP", errno);
    at = places_.erase(at);
  }
  for (const Vip& vip : vips.all()) {
    if (places_.contains(vip.address)) continue;
    const uint32_t place = freePlace();
    store(place, vip.state.owned ? vip.state.from_ns : RF_VIP_NOT_OURS);
    const rf_vip_key key = keyOf(vip.address);
    if (bpf_map_update_elem(map, &key, &place, BPF_ANY) != 0) refused("writing a VIP", errno);
    places_[vip.address] = place;
  }
  noteIpv6();
}

void XdpProgram::setLease(uint64_t until_ns) { std::atomic_ref<uint64_t>(state().lease_until_ns).store(until_ns, std::memory_order_seq_cst); }

uint64_t XdpProgram::leaseUntil_ns() const { return std::atomic_ref<uint64_t>(state().lease_until_ns).load(); }

bool XdpProgram::waitForAnswers(uint64_t patience_ns) const {
  const uint64_t until_ns = monotonicNow_ns() + patience_ns;
  for (std::size_t cpu = 0; cpu < cpus_; cpu++) {
    const std::atomic_ref<uint64_t> turn(*reinterpret_cast<uint64_t*>(turns_.at(cpu * sizeof(rf_turn))));
    const uint64_t seen = turn.load(std::memory_order_seq_cst);
    if (seen % 2 == 0) continue;
    while (turn.load(std::memory_order_seq_cst) == seen) {
      if (monotonicNow_ns() > until_ns) return false;
      ::nanosleep(&kTurnPoll, nullptr);
    }
  }
  return true;
}

std::vector<uint64_t> XdpProgram::counters() const {
  std::vector<uint64_t> sums(RF_COUNTER_COUNT);
  std::vector<rf_counts> of_cpus(cpus_);
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(mapFd("counts"), &zero, of_cpus.data()) != 0) refused("reading counters", errno);
  for (const rf_counts& counts : of_cpus) {
    for (std::size_t index = 0; index < sums.size(); index++) sums[index] += counts.n[index];
  }
  return sums;
}

uint16_t XdpProgram::self() const { return view(std::atomic_ref<uint32_t>(state().active).load() & 1).self; }

uint32_t XdpProgram::memberSince(uint16_t node) const {
  const uint32_t active = std::atomic_ref<uint32_t>(state().active).load() & 1;
  return view(active).policy == RF_POLICY_HASH ? 0 : assignment(active).since[node];
}

uint16_t XdpProgram::fragmentNode(const rf_fragment_key& key, uint64_t now) const {
  rf_fragment_place place{};
  if (bpf_map_lookup_elem(mapFd("fragments"), &key, &place) != 0) return 0;
  return now < place.until_ns ? place.node : 0;
}

void XdpProgram::forgetFragments() {
  rf_fragment_key key{};
  while (bpf_map_get_next_key(mapFd("fragments"), nullptr, &key) == 0) (void)bpf_map_delete_elem(mapFd("fragments"), &key);
}

int XdpProgram::eventsFd() const { return ring_buffer__epoll_fd(events_.get()); }

// Not until there are none: whoever sends packets that make events could go on for ever. Those that are left keep the descriptor readable.
void XdpProgram::takeEvents(const Events& events) {
  on_events_ = &events;
  events_taken_ = 0;
  (void)ring_buffer__consume(events_.get());
  on_events_ = nullptr;
}

int XdpProgram::handOn(void* context, void* data, std::size_t size) {
  auto* self = static_cast<XdpProgram*>(context);
  if (size >= sizeof(rf_event_head)) self->handOn(*static_cast<const rf_event_head*>(data), {static_cast<const uint8_t*>(data), size});
  return ++self->events_taken_ < kEventsAtATime ? 0 : -EAGAIN;
}

void XdpProgram::handOn(const rf_event_head& head, std::span<const uint8_t> data) const {
  switch (head.kind) {
    case RF_EVENT_CONFLICT:
      return on_events_->on_conflict();
    case RF_EVENT_PUNT:
      if (head.len <= data.size() - offsetof(rf_frame_event, frame)) on_events_->on_punt(data.subspan(offsetof(rf_frame_event, frame), head.len));
      return;
    case RF_EVENT_TOLD:
      if (data.size() >= sizeof(rf_told_event)) on_events_->on_told(*reinterpret_cast<const rf_told_event*>(data.data()));
      return;
    default:
      return;
  }
}

bool XdpProgram::receive(std::span<const uint8_t> frame, unsigned nic_index) {
  xdp_md context{};
  context.data_end = static_cast<uint32_t>(frame.size());
  context.ingress_ifindex = nic_index;
  bpf_test_run_opts options = testRunOf(frame, {});
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  return bpf_prog_test_run_opts(fd(), &options) == 0;
}

XdpProgram::Steered XdpProgram::steer(std::span<const uint8_t> frame) {
  std::vector<uint8_t> out(frame.size());
  bpf_test_run_opts options = testRunOf(frame, out);
  if (bpf_prog_test_run_opts(fd(), &options) != 0) return {Fate::dropped, {}};
  if (options.retval == XDP_TX || options.retval == XDP_REDIRECT) return {Fate::relayed, std::move(out)};
  return {options.retval == XDP_PASS ? Fate::passed : Fate::dropped, {}};
}

XdpProgram::Run XdpProgram::run(std::span<const uint8_t> frame, uint64_t now) {
  std::vector<uint8_t> out(frame.size() + kGrowth_max);
  bpf_test_run_opts options = testRunOf(frame, out);
  // What an answer has not written is seen.
  const std::vector<uint8_t> poison(cpus_ * ((sizeof(rf_work) + 7) / 8 * 8), kPoison);
  const uint32_t zero = 0;
  if (bpf_map_update_elem(mapFd("work_of_cpu"), &zero, poison.data(), BPF_ANY) != 0) refused("filling the XDP program's working memory", errno);
  state().clock_ns = now;
  const int error = bpf_prog_test_run_opts(fd(), &options);
  state().clock_ns = 0;
  if (error != 0) refused("running a frame through the XDP program", -error);
  out.resize(options.data_size_out);
  return {static_cast<int>(options.retval), std::move(out)};
}

}  // namespace rainfront
