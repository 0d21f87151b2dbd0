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

}  // namespace

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

  Napi::Value slots = object.Get("slots");
  if (!slots.IsTypedArray() || slots.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array)
    throw badArgument(env, "slots", "a Uint16Array");
  Napi::Uint16Array table = slots.As<Napi::Uint16Array>();
  if (table.ElementLength() != 0 && table.ElementLength() != kMaglevSlots)
    throw badArgument(env, "slots", "a Uint16Array of " + std::to_string(kMaglevSlots) + " elements, or empty for no view");
  tables->has_view = table.ElementLength() != 0;
  std::copy_n(table.Data(), table.ElementLength(), tables->slots.begin());

  Napi::Value key = object.Get("hashKey");
  if (!key.IsBuffer() || key.As<Napi::Buffer<uint8_t>>().Length() != 16) throw badArgument(env, "hashKey", "a Buffer of 16 bytes");
  const uint8_t* k = key.As<Napi::Buffer<uint8_t>>().Data();
  tables->secret.k0 = static_cast<uint64_t>(rf_load32(k)) << 32 | rf_load32(k + 4);
  tables->secret.k1 = static_cast<uint64_t>(rf_load32(k + 8)) << 32 | rf_load32(k + 12);
  return tables;
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

}  // namespace rainfront::addon
