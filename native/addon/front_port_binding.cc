#include "front_port_binding.h"

#include "arguments.h"

namespace rainfront::addon {

Napi::Function FrontPortBinding::define(Napi::Env env) {
  return DefineClass(env, "FrontPort",
                     {
                         InstanceMethod<&FrontPortBinding::setTables>("setTables"),
                         InstanceMethod<&FrontPortBinding::setVips>("setVips"),
                         InstanceMethod<&FrontPortBinding::setLease>("setLease"),
                         InstanceMethod<&FrontPortBinding::announceAgain>("announceAgain"),
                         InstanceMethod<&FrontPortBinding::close>("close"),
                     });
}

FrontPortBinding::FrontPortBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FrontPortBinding>(info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw badArgument(env, "options", "an object");
  Napi::Object options = info[0].As<Napi::Object>();
  Napi::Value counters = options.Get("counters");
  if (!counters.IsTypedArray() || counters.As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array ||
      counters.As<Napi::TypedArray>().ElementLength() < RF_COUNTER_COUNT)
    throw badArgument(env, "counters", "a BigUint64Array of " + std::to_string(RF_COUNTER_COUNT) + " elements or more");
  // The raw call: node-addon-api's accessor goes through an ArrayBuffer, and this memory is a SharedArrayBuffer's.
  void* words = nullptr;
  napi_status status = napi_get_typedarray_info(env, counters, nullptr, nullptr, &words, nullptr, nullptr);
  if (status != napi_ok || words == nullptr) throw badArgument(env, "counters", "a BigUint64Array over memory");
  counters_ = Napi::Persistent(counters.As<Napi::TypedArray>());

  try {
    port_ = std::make_unique<FrontPort>(FrontPortOptions{stringField(options, "nic"), stringField(options, "outer"),
                                                         macField(options, "frontMac"), static_cast<uint64_t*>(words)});
  } catch (const PortError& error) {
    throw codedError(env, error);
  }
}

FrontPort& FrontPortBinding::open(Napi::Env env) {
  if (!port_) throw codedError(env, "RF_PORT_CLOSED", "this front port is closed");
  return *port_;
}

void FrontPortBinding::setTables(const Napi::CallbackInfo& info) {
  FrontPort& port = open(info.Env());
  if (!info[0].IsObject()) throw badArgument(info.Env(), "tables", "an object");
  Napi::Object object = info[0].As<Napi::Object>();
  auto tables = std::make_shared<rf_tables>();
  tables->self = nodeIdOf(object.Get("self"), "self");

  Napi::Value members = object.Get("members");
  if (!members.IsArray()) throw badArgument(info.Env(), "members", "an array of node ids");
  Napi::Array list = members.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) tables->members.set(nodeIdOf(list.Get(i), "members"));

  Napi::Value slots = object.Get("slots");
  if (!slots.IsTypedArray() || slots.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array)
    throw badArgument(info.Env(), "slots", "a Uint16Array");
  Napi::Uint16Array table = slots.As<Napi::Uint16Array>();
  if (table.ElementLength() != 0 && table.ElementLength() != kMaglevSlots)
    throw badArgument(info.Env(), "slots", "a Uint16Array of " + std::to_string(kMaglevSlots) + " elements, or empty for no view");
  tables->has_view = table.ElementLength() != 0;
  std::copy_n(table.Data(), table.ElementLength(), tables->slots.begin());

  Napi::Value key = object.Get("hashKey");
  if (!key.IsBuffer() || key.As<Napi::Buffer<uint8_t>>().Length() != 16) throw badArgument(info.Env(), "hashKey", "a Buffer of 16 bytes");
  const uint8_t* k = key.As<Napi::Buffer<uint8_t>>().Data();
  tables->secret.k0 = static_cast<uint64_t>(rf_load32(k)) << 32 | rf_load32(k + 4);
  tables->secret.k1 = static_cast<uint64_t>(rf_load32(k + 8)) << 32 | rf_load32(k + 12);
  port.setTables(std::move(tables));
}

Napi::Value FrontPortBinding::setVips(const Napi::CallbackInfo& info) {
  FrontPort& port = open(info.Env());
  if (!info[0].IsArray()) throw badArgument(info.Env(), "vips", "an array");
  Napi::Array list = info[0].As<Napi::Array>();
  if (list.Length() > kVipsMax) throw badArgument(info.Env(), "vips", "at most " + std::to_string(kVipsMax) + " long");
  std::vector<Vip> vips;
  vips.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw badArgument(info.Env(), "vips[]", "an object");
    Napi::Object object = item.As<Napi::Object>();
    const auto address = parseIpv4(stringField(object, "address"));
    if (!address) throw badArgument(info.Env(), "vips[].address", "an IPv4 address");
    Napi::Value from = object.Get("from_ns");
    const bool owned = !from.IsUndefined();
    vips.push_back({*address, owned, owned ? bigintOf(from, "vips[].from_ns") : 0});
  }
  return Napi::Boolean::New(info.Env(), port.setVips(VipSet(std::move(vips))));
}

void FrontPortBinding::setLease(const Napi::CallbackInfo& info) { open(info.Env()).setLease(bigintOf(info[0], "until_ns")); }

void FrontPortBinding::announceAgain(const Napi::CallbackInfo& info) { open(info.Env()).announceAgain(); }

void FrontPortBinding::close(const Napi::CallbackInfo&) { port_.reset(); }

}  // namespace rainfront::addon
