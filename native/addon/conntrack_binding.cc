#include "conntrack_binding.h"

#include <algorithm>
#include <array>

#include "arguments.h"
#include "flow_exchange_binding.h"
#include "flow_look_binding.h"
#include "tables_arguments.h"

namespace rainfront::addon {

namespace {

std::size_t countField(const Napi::Object& object, const char* field) {
  const Napi::Value value = object.Get(field);
  if (!value.IsNumber() || value.As<Napi::Number>().Int64Value() < 1) throw badArgument(object.Env(), field, "a number above 0");
  return static_cast<std::size_t>(value.As<Napi::Number>().Int64Value());
}

std::shared_ptr<const Successors> successorsOf(const Napi::CallbackInfo& info) {
  auto successors = std::make_shared<Successors>();
  successors->now = *steeringTableOf(info[0]);
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array) throw badArgument(info.Env(), "withoutSelf", "a Uint16Array");
  const Napi::Uint16Array slots = info[1].As<Napi::Uint16Array>();
  if (slots.ElementLength() != 0 && slots.ElementLength() != kMaglevSlots)
    throw badArgument(info.Env(), "withoutSelf", "a Uint16Array of " + std::to_string(kMaglevSlots) + " elements, or empty where there is nobody else");
  std::copy_n(slots.Data(), slots.ElementLength(), successors->without_self.begin());
  return successors;
}

// May be left out.
std::shared_ptr<FlowExchange> flowsOf(const Napi::Object& options) {
  const Napi::Value handle = options.Get("flows");
  if (handle.IsUndefined()) return nullptr;
  auto flows = handle.IsNumber() ? FlowExchangeBinding::byHandle(handle.As<Napi::Number>().Uint32Value()) : nullptr;
  if (flows == nullptr) throw badArgument(options.Env(), "flows", "the handle of a FlowExchange of this process that is open");
  return flows;
}

constexpr std::array<const char*, 3> kPurposes = {"copy", "move", "taken"};

ConntrackShare::Purpose purposeOf(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  const auto found = std::find(kPurposes.begin(), kPurposes.end(), name);
  if (found == kPurposes.end()) throw badArgument(value.Env(), "purpose", "copy, move or taken");
  return static_cast<ConntrackShare::Purpose>(found - kPurposes.begin());
}

}  // namespace

Napi::Function ConntrackShareBinding::define(Napi::Env env) {
  return DefineClass(env, "ConntrackShare",
                     {
                         InstanceMethod<&ConntrackShareBinding::become>("become"),
                         InstanceMethod<&ConntrackShareBinding::drain>("drain"),
                         InstanceMethod<&ConntrackShareBinding::take>("take"),
                         InstanceMethod<&ConntrackShareBinding::receive>("receive"),
                         InstanceMethod<&ConntrackShareBinding::replica>("replica"),
                         InstanceMethod<&ConntrackShareBinding::figures>("figures"),
                         InstanceMethod<&ConntrackShareBinding::close>("close"),
                     });
}

ConntrackShareBinding::ConntrackShareBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ConntrackShareBinding>(info) {
  if (!info[0].IsObject()) throw badArgument(info.Env(), "limits", "an object");
  const Napi::Object limits = info[0].As<Napi::Object>();
  const ConntrackShare::Limits some{countField(limits, "waiting_max"), countField(limits, "replicas_max")};
  if (!info[1].IsFunction()) throw badArgument(info.Env(), "onWaiting", "a function");
  auto on_waiting = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "rainfront:conntrack", 1, 1);
  // The process may end although it listens.
  on_waiting.Unref(info.Env());
  // Released when the share has it no more, whose thread has ended by then.
  const std::shared_ptr<Napi::ThreadSafeFunction> kept(new Napi::ThreadSafeFunction(on_waiting), [](Napi::ThreadSafeFunction* one) {
    one->Release();
    delete one;
  });
  auto flows = flowsOf(limits);
  share_ = coded(info.Env(), [&] { return std::make_unique<ConntrackShare>(some, std::move(flows), [kept] { (void)kept->NonBlockingCall(); }); });
  // Before the function's own end, where the environment ends first.
  napi_add_env_cleanup_hook(info.Env(), endOf, this);
}

ConntrackShareBinding::~ConntrackShareBinding() {
  if (share_) napi_remove_env_cleanup_hook(Env(), endOf, this);
}

void ConntrackShareBinding::endOf(void* binding) { static_cast<ConntrackShareBinding*>(binding)->share_.reset(); }

ConntrackShare& ConntrackShareBinding::open(Napi::Env env) {
  if (!share_) throw codedError(env, "RF_PORT_CLOSED", "this share of connections is closed");
  return *share_;
}

void ConntrackShareBinding::become(const Napi::CallbackInfo& info) { open(info.Env()).become(successorsOf(info)); }

void ConntrackShareBinding::drain(const Napi::CallbackInfo& info) { open(info.Env()).drain(info[0].ToBoolean()); }

Napi::Value ConntrackShareBinding::take(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsNumber()) throw badArgument(env, "bytes_max", "a number");
  const auto deliveries = open(env).take(static_cast<std::size_t>(std::max<int64_t>(0, info[0].As<Napi::Number>().Int64Value())));
  Napi::Array list = Napi::Array::New(env, deliveries.size());
  for (uint32_t i = 0; i < deliveries.size(); i++) {
    Napi::Object delivery = Napi::Object::New(env);
    delivery.Set("node", deliveries[i].node);
    delivery.Set("purpose", kPurposes.at(static_cast<std::size_t>(deliveries[i].purpose)));
    delivery.Set("records", Napi::Buffer<uint8_t>::Copy(env, deliveries[i].records.data(), deliveries[i].records.size()));
    list.Set(i, delivery);
  }
  return list;
}

void ConntrackShareBinding::receive(const Napi::CallbackInfo& info) {
  const uint16_t from = nodeIdOf(info[0], "from");
  const auto purpose = purposeOf(info[1]);
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) throw badArgument(info.Env(), "records", "a Uint8Array");
  const auto records = info[2].As<Napi::Uint8Array>();
  open(info.Env()).receive(from, purpose, {records.Data(), records.ElementLength()});
}

Napi::Value ConntrackShareBinding::replica(const Napi::CallbackInfo& info) {
  const auto replica = open(info.Env()).replicaOf(flowKeyArgument(info[0]));
  if (!replica) return info.Env().Undefined();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("from", replica->told.from);
  object.Set("connection", connectionObject(info.Env(), replica->entry));
  return object;
}

Napi::Value ConntrackShareBinding::figures(const Napi::CallbackInfo& info) {
  const ConntrackShare::Figures figures = open(info.Env()).figures();
  Napi::Object result = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
  set("told", figures.told);
  set("told_full", figures.told_full);
  set("events_lost", figures.events_lost);
  set("failed", figures.failed);
  set("kept", figures.kept);
  set("kept_full", figures.kept_full);
  set("malformed", figures.malformed);
  set("taken_over", figures.taken_over);
  set("taken_over_refused", figures.taken_over_refused);
  set("nobodys", figures.nobodys);
  set("nobodys_full", figures.nobodys_full);
  set("moved", figures.moved);
  set("unmoved", figures.unmoved);
  set("moves_looked", figures.moves_looked);
  set("waiting", figures.waiting);
  set("replicas", figures.replicas);
  return result;
}

void ConntrackShareBinding::close(const Napi::CallbackInfo& info) {
  if (!share_) return;
  napi_remove_env_cleanup_hook(info.Env(), endOf, this);
  share_.reset();
}

}  // namespace rainfront::addon
