#include "tables_arguments.h"

#include <algorithm>
#include <array>
#include <optional>

#include "arguments.h"

namespace rainfront::addon {

namespace {

// May be left out.
void readDeparted(const Napi::Value& value, SteeringTable& tables) {
  if (value.IsUndefined()) return;
  Napi::Env env = value.Env();
  if (!value.IsArray()) throw badArgument(env, "departed", "an array");
  Napi::Array list = value.As<Napi::Array>();
  if (list.Length() > tables.departed.size()) throw badArgument(env, "departed", "at most " + std::to_string(tables.departed.size()) + " long");
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw badArgument(env, "departed[]", "an object");
    Napi::Object object = item.As<Napi::Object>();
    tables.departed[i].node = nodeIdOf(object.Get("node"), "departed[].node");
    tables.departed[i].until_ns = bigintOf(object.Get("until_ns"), "departed[].until_ns");
  }
}

uint16_t portOf(const Napi::Value& value, const char* name, uint32_t least) {
  const bool is_port = value.IsNumber() && value.As<Napi::Number>().DoubleValue() >= least && value.As<Napi::Number>().DoubleValue() <= 65535;
  if (!is_port) throw badArgument(value.Env(), name, "a number of " + std::to_string(least) + " to 65535");
  return static_cast<uint16_t>(value.As<Napi::Number>().Uint32Value());
}

Napi::Array listOf(const Napi::Value& value, const std::string& name, std::size_t length_max) {
  if (!value.IsArray()) throw badArgument(value.Env(), name, "an array");
  const auto list = value.As<Napi::Array>();
  if (list.Length() > length_max) throw badArgument(value.Env(), name, "at most " + std::to_string(length_max) + " long");
  return list;
}

Napi::Object objectOf(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject()) throw badArgument(value.Env(), name, "an object");
  return value.As<Napi::Object>();
}

Address addressOf(const Napi::Object& object, const std::string& name) {
  const auto address = parseAddress(stringField(object, "address"));
  if (!address) throw badArgument(object.Env(), name, "an IP address");
  return *address;
}

uint32_t epochOf(const Napi::Value& value, const char* name) {
  if (!value.IsNumber() || value.As<Napi::Number>().Uint32Value() == 0) throw badArgument(value.Env(), name, "a number above 0");
  return value.As<Napi::Number>().Uint32Value();
}

rf_policy policyOf(const Napi::Object& object, bool may_be_hash) {
  const std::string policy = stringField(object, "policy");
  if (may_be_hash && policy == "authority") return RF_POLICY_HASH;
  if (policy == "receiver") return RF_POLICY_RECEIVER;
  if (policy == "balanced") return RF_POLICY_BALANCED;
  throw badArgument(object.Env(), "assignment.policy", may_be_hash ? "authority, receiver or balanced" : "receiver or balanced");
}

// May be left out.
rf_stickiness stickinessOf(const Napi::Object& object) {
  if (object.Get("stickiness").IsUndefined()) return RF_STICKS_TO_NOTHING;
  const std::string end = stringField(object, "stickiness");
  if (end == "source") return RF_STICKS_TO_SOURCE;
  if (end == "destination") return RF_STICKS_TO_DESTINATION;
  throw badArgument(object.Env(), "assignment.stickiness", "source or destination");
}

void readChoices(const Napi::Value& value, AssignmentTable& assignment) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array || value.As<Napi::TypedArray>().ElementLength() != kMaglevSlots)
    throw badArgument(value.Env(), "assignment.choices", "a Uint16Array of " + std::to_string(kMaglevSlots) + " elements");
  std::copy_n(value.As<Napi::Uint16Array>().Data(), kMaglevSlots, assignment.choices.begin());
}

// By their names of IANA.
uint8_t protocolOf(const Napi::Object& object) {
  const std::string protocol = stringField(object, "protocol");
  if (protocol == "tcp") return RF_PROTO_TCP;
  if (protocol == "udp") return RF_PROTO_UDP;
  throw badArgument(object.Env(), "assignment.services[].protocol", "tcp or udp");
}

// May be left out.
ServiceSet servicesOf(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  const Napi::Array list = listOf(value, "assignment.services", RF_SERVICES_MAX);
  std::vector<ServiceSet::Service> services;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Object object = objectOf(list.Get(i), "assignment.services[]");
    const Address address = addressOf(object, "assignment.services[].address");
    rf_service_key key{{address.high, address.low}, address.family, 0, 0, 0, {}};
    if (!object.Get("port").IsUndefined()) {
      key.port = portOf(object.Get("port"), "assignment.services[].port", 1);
      key.protocol = protocolOf(object);
    }
    services.push_back({key, {static_cast<uint8_t>(policyOf(object, true)), static_cast<uint8_t>(stickinessOf(object))}});
  }
  return ServiceSet(std::move(services));
}

bool needsChoices(const AssignmentTable& assignment) {
  const auto isChosen = [](unsigned policy, unsigned stickiness) { return policy == RF_POLICY_BALANCED || stickiness != RF_STICKS_TO_NOTHING; };
  const auto& services = assignment.services.all();
  return isChosen(assignment.policy, assignment.stickiness) || std::any_of(services.begin(), services.end(), [&](const auto& service) { return isChosen(service.how.policy, service.how.stickiness); });
}

// May be left out. `members` as in the object that it is of.
std::shared_ptr<const AssignmentTable> assignmentOf(const Napi::Value& value, const Napi::Array& members) {
  if (value.IsUndefined()) return nullptr;
  Napi::Env env = value.Env();
  if (!value.IsObject()) throw badArgument(env, "assignment", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  auto assignment = std::make_shared<AssignmentTable>();
  assignment->policy = policyOf(object, false);
  assignment->stickiness = stickinessOf(object);
  assignment->epoch = epochOf(object.Get("epoch"), "assignment.epoch");
  assignment->settled_ns = bigintOf(object.Get("settled_ns"), "assignment.settled_ns");
  const Napi::Value since = object.Get("since");
  if (!since.IsArray() || since.As<Napi::Array>().Length() != members.Length()) throw badArgument(env, "assignment.since", "an array as long as members");
  for (uint32_t i = 0; i < members.Length(); i++)
    assignment->since[nodeIdOf(members.Get(i), "members")] = epochOf(since.As<Napi::Array>().Get(i), "assignment.since");
  const Napi::Value ready = object.Get("ready");
  if (!ready.IsArray()) throw badArgument(env, "assignment.ready", "an array of node ids");
  for (uint32_t i = 0; i < ready.As<Napi::Array>().Length(); i++) assignment->ready.set(nodeIdOf(ready.As<Napi::Array>().Get(i), "assignment.ready"));
  assignment->services = servicesOf(object.Get("services"));
  if (needsChoices(*assignment)) readChoices(object.Get("choices"), *assignment);
  return assignment;
}

}  // namespace

rf_port_ranges portRangesOf(const Napi::Value& value) {
  rf_port_ranges all{};
  if (value.IsUndefined()) return all;
  const Napi::Object object = objectOf(value, "portRanges");
  const Napi::Array ranges = listOf(object.Get("ranges"), "portRanges.ranges", RF_PORT_RANGES_MAX);
  const Napi::Array owners = listOf(object.Get("owners"), "portRanges.owners", RF_PORT_PARTS_MAX);
  for (uint32_t i = 0; i < ranges.Length(); i++) {
    const Napi::Object range = objectOf(ranges.Get(i), "portRanges.ranges[]");
    const Address address = addressOf(range, "portRanges.ranges[].address");
    all.ranges[i] = {{address.high, address.low}, address.family, portOf(range.Get("first"), "portRanges.ranges[].first", 1), portOf(range.Get("size"), "portRanges.ranges[].size", 1), 0};
  }
  for (uint32_t i = 0; i < owners.Length(); i++) {
    const Napi::Value owner = owners.Get(i);
    const bool is_nobody = owner.IsNumber() && owner.As<Napi::Number>().Uint32Value() == 0;
    all.owners[i] = is_nobody ? uint16_t{0} : nodeIdOf(owner, "portRanges.owners");
  }
  all.count = ranges.Length();
  all.parts = owners.Length();
  return all;
}

std::shared_ptr<const SteeringTable> steeringTableOf(const Napi::Value& value) {
  Napi::Env env = value.Env();
  if (!value.IsObject()) throw badArgument(env, "tables", "an object");
  Napi::Object object = value.As<Napi::Object>();
  auto tables = std::make_shared<SteeringTable>();
  tables->self = nodeIdOf(object.Get("self"), "self");

  Napi::Value members = object.Get("members");
  if (!members.IsArray()) throw badArgument(env, "members", "an array of node ids");
  Napi::Array list = members.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) tables->members.set(nodeIdOf(list.Get(i), "members"));

  readDeparted(object.Get("departed"), *tables);
  tables->port_ranges = portRangesOf(object.Get("portRanges"));
  tables->assignment = assignmentOf(object.Get("assignment"), list);

  Napi::Value slots = object.Get("slots");
  if (!slots.IsTypedArray() || slots.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array)
    throw badArgument(env, "slots", "a Uint16Array");
  Napi::Uint16Array table = slots.As<Napi::Uint16Array>();
  if (table.ElementLength() != 0 && table.ElementLength() != kMaglevSlots)
    throw badArgument(env, "slots", "a Uint16Array of " + std::to_string(kMaglevSlots) + " elements, or empty for no view");
  tables->has_view = table.ElementLength() != 0;
  std::copy_n(table.Data(), table.ElementLength(), tables->slots.begin());

  tables->secret = hashKeyOf(object.Get("hashKey"));
  return tables;
}

rf_hash_key hashKeyOf(const Napi::Value& value) {
  if (!value.IsBuffer() || value.As<Napi::Buffer<uint8_t>>().Length() != 16) throw badArgument(value.Env(), "hashKey", "a Buffer of 16 bytes");
  const uint8_t* k = value.As<Napi::Buffer<uint8_t>>().Data();
  return {static_cast<uint64_t>(rf_load32(k)) << 32 | rf_load32(k + 4), static_cast<uint64_t>(rf_load32(k + 8)) << 32 | rf_load32(k + 12)};
}

VipSet vipSetOf(const Napi::Value& value) {
  Napi::Env env = value.Env();
  if (!value.IsArray()) throw badArgument(env, "vips", "an array");
  Napi::Array list = value.As<Napi::Array>();
  if (list.Length() > kVipsMax) throw badArgument(env, "vips", "at most " + std::to_string(kVipsMax) + " long");
  std::vector<Vip> vips;
  vips.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw badArgument(env, "vips[]", "an object");
    Napi::Object object = item.As<Napi::Object>();
    const auto address = parseAddress(stringField(object, "address"));
    if (!address) throw badArgument(env, "vips[].address", "an IP address");
    Napi::Value from = object.Get("from_ns");
    const bool owned = !from.IsUndefined();
    vips.push_back({*address, {owned ? bigintOf(from, "vips[].from_ns") : 0, owned}});
  }
  return VipSet(std::move(vips));
}

KnownFlow knownFlowOf(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsBuffer()) throw badArgument(env, "frame", "a Buffer");
  const auto frame = info[0].As<Napi::Buffer<uint8_t>>();
  rf_ethernet eth;
  rf_flow flow;
  const rf_bytes bytes = rf_bytes_of(frame.Data(), static_cast<uint32_t>(frame.Length()));
  if (rf_parse_ethernet(bytes, &eth) != 0 || rf_parse_flow(eth.ethertype, &bytes, eth.payload, &flow) != 0 || flow.fragment == RF_FRAGMENT_LATER)
    throw badArgument(env, "frame", "a frame of a flow");
  const auto life = flow.key.protocol == RF_PROTO_TCP ? RF_LIFE_STREAM : RF_LIFE_DATAGRAM;
  rf_assignment assignment{epochOf(info[2], "epoch"), nodeIdOf(info[1], "node"), 0, 0};
  assignment.flags_and_life = rf_flags_and_life(info[4].ToBoolean() ? RF_ASSIGNED_ALIAS : 0, life);
  return {flow.key, assignment, bigintOf(info[3], "now_ns")};
}

}  // namespace rainfront::addon
