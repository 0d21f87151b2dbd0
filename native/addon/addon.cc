// The addon's entry: what JavaScript gets. lib/native.ts gives it types.
#include <napi.h>

#include "../port/clock.h"
#include "../port/memory_lock.h"
#include "../port/link_state.h"
#include "../port/offloads.h"
#include "../port/realtime.h"
#include "aead_binding.h"
#include "arguments.h"
#include "conntrack_binding.h"
#include "datagram_port_binding.h"
#include "flow_exchange_binding.h"
#include "flow_look_binding.h"
#include "front_port_binding.h"
#include "pipeline_binding.h"
#include "survey_binding.h"
#ifdef RF_HAS_XDP
#include "xdp_binding.h"
#endif

namespace rainfront::addon {
namespace {

Napi::Array counterList(Napi::Env env) {
#define RF_COUNTER(name, meaning) {#name, meaning},
  static constexpr struct {
    const char *name, *meaning;
  } kCounters[] = {
#include "../steer/counters.def"
  };
#undef RF_COUNTER
  Napi::Array list = Napi::Array::New(env, RF_COUNTER_COUNT);
  for (uint32_t i = 0; i < RF_COUNTER_COUNT; i++) {
    Napi::Object counter = Napi::Object::New(env);
    counter.Set("name", kCounters[i].name);
    counter.Set("meaning", kCounters[i].meaning);
    list.Set(i, counter);
  }
  return list;
}

Napi::Value monotonicNow(const Napi::CallbackInfo& info) { return Napi::BigInt::New(info.Env(), monotonicNow_ns()); }

Napi::Value realtime(const Napi::CallbackInfo& info) {
  if (!info[0].IsBoolean()) throw badArgument(info.Env(), "wholeProcess", "a boolean");
  return Napi::Boolean::New(info.Env(), enterRealtime(info[0].As<Napi::Boolean>()));
}

Napi::Value memoryLock(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), lockMappedFiles()); }

std::string interfaceArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) throw badArgument(info.Env(), "interface", "a string");
  return info[0].As<Napi::String>().Utf8Value();
}

Napi::Value offloads(const Napi::CallbackInfo& info) {
  try {
    return Napi::Number::New(info.Env(), readOffloads(interfaceArgument(info)));
  } catch (const PortError& error) {
    throw codedError(info.Env(), error);
  }
}

Napi::Value takeLink(const Napi::CallbackInfo& info) {
  const std::string interface = interfaceArgument(info);
  const bool is_up = info[1].ToBoolean();
  coded(info.Env(), [&] { setLinkUp(interface, is_up); });
  return info.Env().Undefined();
}

Napi::Value changeOffloads(const Napi::CallbackInfo& info) {
  if (!info[1].IsNumber() || !info[2].IsNumber()) throw badArgument(info.Env(), "mask and wanted", "numbers");
  try {
    return Napi::Number::New(info.Env(), writeOffloads(interfaceArgument(info), info[1].As<Napi::Number>(), info[2].As<Napi::Number>()));
  } catch (const PortError& error) {
    throw codedError(info.Env(), error);
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("FrontPort", FrontPortBinding::define(env));
  exports.Set("Pipeline", PipelineBinding::define(env));
  exports.Set("FlowExchange", FlowExchangeBinding::define(env));
  exports.Set("flowLook", flowLookExports(env));
  exports.Set("ConntrackShare", ConntrackShareBinding::define(env));
#ifdef RF_HAS_XDP
  exports.Set("xdp", xdpExports(env));
#endif
  exports.Set("DatagramPort", DatagramPortBinding::define(env));
  exports.Set("AeadKey", AeadKeyBinding::define(env));
  exports.Set("hasAead", Napi::Boolean::New(env, isAeadAvailable()));
  exports.Set("counters", counterList(env));
  exports.Set("monotonicNow_ns", Napi::Function::New(env, monotonicNow, "monotonicNow_ns"));
  exports.Set("enterRealtime", Napi::Function::New(env, realtime, "enterRealtime"));
  exports.Set("lockMappedFiles", Napi::Function::New(env, memoryLock, "lockMappedFiles"));
  exports.Set("survey", Napi::Function::New(env, survey, "survey"));
  exports.Set("readOffloads", Napi::Function::New(env, offloads, "readOffloads"));
  exports.Set("setLinkUp", Napi::Function::New(env, takeLink, "setLinkUp"));
  exports.Set("writeOffloads", Napi::Function::New(env, changeOffloads, "writeOffloads"));
  return exports;
}

}  // namespace
}  // namespace rainfront::addon

static Napi::Object initRainfront(Napi::Env env, Napi::Object exports) { return rainfront::addon::init(env, exports); }
NODE_API_MODULE(rainfront, initRainfront)
