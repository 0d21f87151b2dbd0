#include "xdp_binding.h"

#include <array>

#include "../port/packet_socket.h"
#include "../xdp/attachment.h"
#include "../xdp/driver_features.h"
#include "../xdp/spare.h"
#include "arguments.h"
#include "tables_arguments.h"

namespace rainfront::addon {

namespace {

// enum xdp_action
constexpr std::array kActionNames = {"aborted", "drop", "pass", "tx", "redirect"};

#define RF_COUNTER(name, meaning) #name,
constexpr std::array kCounterNames = {
#include "../steer/counters.def"
};
#undef RF_COUNTER

// Enough for frames that are run by hand.
constexpr FlowCapacities kFlows = {.established = 1024, .opening = 256};

std::string nicArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) throw badArgument(info.Env(), "nic", "a string");
  return info[0].As<Napi::String>().Utf8Value();
}

Napi::Value attached(const Napi::CallbackInfo& info) {
  const std::string nic = nicArgument(info);
  const auto found = coded(info.Env(), [&] { return attachedXdp(interfaceIndex(nic)); });
  if (!found) return info.Env().Undefined();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("id", found->id);
  result.Set("name", found->name);
  result.Set("isOurs", found->is_ours);
  result.Set("isGeneric", found->is_generic);
  result.Set("leaseUntil_ns", Napi::BigInt::New(info.Env(), leaseUntil_ns(*found)));
  return result;
}

Napi::Value detach(const Napi::CallbackInfo& info) {
  const std::string nic = nicArgument(info);
  return Napi::Boolean::New(info.Env(), coded(info.Env(), [&] { return detachXdp(interfaceIndex(nic)); }));
}

Napi::Value driverRuns(const Napi::CallbackInfo& info) {
  const std::string nic = nicArgument(info);
  const auto runs = coded(info.Env(), [&] { return driverRunsXdp(interfaceIndex(nic)); });
  return runs ? Napi::Boolean::New(info.Env(), *runs) : info.Env().Undefined();
}

Napi::Value probe(const Napi::CallbackInfo& info) {
  coded(info.Env(), loadSpareXdp);
  return info.Env().Undefined();
}

}  // namespace

Napi::Function XdpPipelineBinding::define(Napi::Env env) {
  return DefineClass(env, "XdpPipeline",
                     {
                         InstanceMethod<&XdpPipelineBinding::setTables>("setTables"),
                         InstanceMethod<&XdpPipelineBinding::setVips>("setVips"),
                         InstanceMethod<&XdpPipelineBinding::setLease>("setLease"),
                         InstanceMethod<&XdpPipelineBinding::forget>("forget"),
                         InstanceMethod<&XdpPipelineBinding::know>("know"),
                         InstanceMethod<&XdpPipelineBinding::run>("run"),
                     });
}

XdpPipelineBinding::XdpPipelineBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<XdpPipelineBinding>(info) {
  if (!info[0].IsObject()) throw badArgument(info.Env(), "options", "an object");
  const Napi::Object options = info[0].As<Napi::Object>();
  const Mac front = macField(options, "frontMac");
  flows_ = coded(info.Env(), [] { return std::make_unique<XdpFlows>(kFlows); });
  program_ = coded(info.Env(), [&] { return std::make_unique<XdpProgram>(front, flows_.get()); });
}

void XdpPipelineBinding::setTables(const Napi::CallbackInfo& info) {
  const auto tables = steeringTableOf(info[0]);
  coded(info.Env(), [&] { program_->setTables(*tables); });
}

void XdpPipelineBinding::setVips(const Napi::CallbackInfo& info) {
  const VipSet vips = vipSetOf(info[0]);
  coded(info.Env(), [&] { program_->setVips(vips); });
}

void XdpPipelineBinding::setLease(const Napi::CallbackInfo& info) { program_->setLease(bigintOf(info[0], "until_ns")); }

void XdpPipelineBinding::forget(const Napi::CallbackInfo&) {
  program_->forgetFragments();
  flows_->forget();
}

void XdpPipelineBinding::know(const Napi::CallbackInfo& info) {
  const KnownFlow known = knownFlowOf(info);
  flows_->put(known.key, 0, known.assignment, RF_FLOW_ESTABLISHED, known.now_ns);
}

// What the program did with the frame, what it counted, by name, and what it told user space.
Napi::Value XdpPipelineBinding::run(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsBuffer()) throw badArgument(env, "frame", "a Buffer");
  const auto frame = info[0].As<Napi::Buffer<uint8_t>>();
  const uint64_t now_ns = bigintOf(info[1], "now_ns");
  const auto before = coded(env, [&] { return program_->counters(); });
  const auto ran = coded(env, [&] { return program_->run({frame.Data(), frame.Length()}, now_ns); });
  const auto after = coded(env, [&] { return program_->counters(); });

  Napi::Object counted = Napi::Object::New(env);
  for (std::size_t i = 0; i < after.size(); i++) {
    if (after[i] != before[i]) counted.Set(kCounterNames.at(i), static_cast<double>(after[i] - before[i]));
  }
  Napi::Array punted = Napi::Array::New(env);
  Napi::Array told = Napi::Array::New(env);
  bool conflict = false;
  program_->takeEvents({.on_conflict = [&] { conflict = true; },
                        .on_punt = [&](std::span<const uint8_t> bytes) { punted.Set(punted.Length(), Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size())); },
                        .on_told = [&](const rf_told_event& event) { 
                          Napi::Object one = Napi::Object::New(env);
                          one.Set("peer", event.peer);
                          one.Set("node", event.assignment.node);
                          told.Set(told.Length(), one);
                         }});

  Napi::Object result = Napi::Object::New(env);
  result.Set("action", kActionNames.at(static_cast<std::size_t>(ran.action)));
  result.Set("frame", Napi::Buffer<uint8_t>::Copy(env, ran.frame.data(), ran.frame.size()));
  result.Set("counted", counted);
  result.Set("conflict", conflict);
  result.Set("told", told);
  result.Set("punted", punted);
  return result;
}

Napi::Object xdpExports(Napi::Env env) {
  Napi::Object exports = Napi::Object::New(env);
  exports.Set("attached", Napi::Function::New(env, attached, "attached"));
  exports.Set("detach", Napi::Function::New(env, detach, "detach"));
  exports.Set("driverRuns", Napi::Function::New(env, driverRuns, "driverRuns"));
  exports.Set("probe", Napi::Function::New(env, probe, "probe"));
  exports.Set("Pipeline", XdpPipelineBinding::define(env));
  return exports;
}

}  // namespace rainfront::addon
