#include "front_port_binding.h"

#include "arguments.h"
#include "tables_arguments.h"

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

void FrontPortBinding::setTables(const Napi::CallbackInfo& info) { open(info.Env()).setTables(steeringTableOf(info[0])); }

Napi::Value FrontPortBinding::setVips(const Napi::CallbackInfo& info) {
  FrontPort& port = open(info.Env());
  VipSet vips = vipSetOf(info[0]);
  // It neither answers nor announces others yet, so it must not seem to.
  for (const Vip& vip : vips.all()) {
    if (vip.address.family != RF_ETHERTYPE_IPV4) throw badArgument(info.Env(), "vips[].address", "an IPv4 address");
  }
  return Napi::Boolean::New(info.Env(), port.setVips(std::move(vips)));
}

void FrontPortBinding::setLease(const Napi::CallbackInfo& info) { open(info.Env()).setLease(bigintOf(info[0], "until_ns")); }

void FrontPortBinding::announceAgain(const Napi::CallbackInfo& info) { open(info.Env()).announceAgain(); }

void FrontPortBinding::close(const Napi::CallbackInfo&) { port_.reset(); }

}  // namespace rainfront::addon
