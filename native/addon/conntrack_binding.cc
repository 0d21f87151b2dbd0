#include "conntrack_binding.h"

#include <algorithm>
#include <optional>

#include "arguments.h"
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

}  // namespace

class ConntrackShareBinding::Become final : public Napi::AsyncWorker {
 public:
  Become(Napi::Env env, std::shared_ptr<ConntrackShare> share, std::shared_ptr<const Successors> successors)
      : Napi::AsyncWorker(env, "rainfront:conntrack"), share_(std::move(share)), successors_(std::move(successors)), result_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return result_.Promise(); }

 private:
  void Execute() override {
    try {
      share_->become(std::move(successors_));
    } catch (const PortError& error) {
      error_ = error;
    }
  }
  void OnOK() override {
    if (error_) return result_.Reject(codedError(Env(), *error_).Value());
    result_.Resolve(Env().Undefined());
  }
  void OnError(const Napi::Error& error) override { result_.Reject(error.Value()); }

  std::shared_ptr<ConntrackShare> share_;
  std::shared_ptr<const Successors> successors_;
  const Napi::Promise::Deferred result_;
  std::optional<PortError> error_;
};

Napi::Function ConntrackShareBinding::define(Napi::Env env) {
  return DefineClass(env, "ConntrackShare",
                     {
                         InstanceMethod<&ConntrackShareBinding::become>("become"),
                         InstanceMethod<&ConntrackShareBinding::take>("take"),
                         InstanceMethod<&ConntrackShareBinding::receive>("receive"),
                         InstanceMethod<&ConntrackShareBinding::figures>("figures"),
                         InstanceMethod<&ConntrackShareBinding::close>("close"),
                     });
}

ConntrackShareBinding::ConntrackShareBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ConntrackShareBinding>(info) {
  if (!info[0].IsObject()) throw badArgument(info.Env(), "limits", "an object");
  const Napi::Object limits = info[0].As<Napi::Object>();
  const ConntrackShare::Limits some{countField(limits, "waiting_max"), countField(limits, "replicas_max")};
  if (!info[1].IsFunction()) throw badArgument(info.Env(), "onWaiting", "a function");
  on_waiting_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "rainfront:conntrack", 1, 1);
  // The process may end although it listens.
  on_waiting_.Unref(info.Env());
  try {
    share_ = coded(info.Env(), [&] { return std::make_shared<ConntrackShare>(some, [on_waiting = on_waiting_] { (void)on_waiting.NonBlockingCall(); }); });
  } catch (...) {
    on_waiting_.Release();
    throw;
  }
}

ConntrackShareBinding::~ConntrackShareBinding() { end(); }

// The thread that calls goes first.
void ConntrackShareBinding::end() {
  if (!share_) return;
  share_.reset();
  on_waiting_.Release();
}

ConntrackShare& ConntrackShareBinding::open(Napi::Env env) {
  if (!share_) throw codedError(env, "RF_PORT_CLOSED", "this share of connections is closed");
  return *share_;
}

Napi::Value ConntrackShareBinding::become(const Napi::CallbackInfo& info) {
  (void)open(info.Env());
  auto* work = new Become(info.Env(), share_, successorsOf(info));  // deletes itself
  work->Queue();
  return work->promise();
}

Napi::Value ConntrackShareBinding::take(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsNumber()) throw badArgument(env, "bytes_max", "a number");
  const auto deliveries = open(env).take(static_cast<std::size_t>(std::max<int64_t>(0, info[0].As<Napi::Number>().Int64Value())));
  Napi::Array list = Napi::Array::New(env, deliveries.size());
  for (uint32_t i = 0; i < deliveries.size(); i++) {
    Napi::Object delivery = Napi::Object::New(env);
    delivery.Set("node", deliveries[i].node);
    delivery.Set("records", Napi::Buffer<uint8_t>::Copy(env, deliveries[i].records.data(), deliveries[i].records.size()));
    list.Set(i, delivery);
  }
  return list;
}

void ConntrackShareBinding::receive(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) throw badArgument(info.Env(), "records", "a Uint8Array");
  const auto records = info[0].As<Napi::Uint8Array>();
  open(info.Env()).receive({records.Data(), records.ElementLength()});
}

Napi::Value ConntrackShareBinding::figures(const Napi::CallbackInfo& info) {
  const ConntrackShare::Figures figures = open(info.Env()).figures();
  Napi::Object result = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
  set("told", figures.told);
  set("told_full", figures.told_full);
  set("events_lost", figures.events_lost);
  set("reads_failed", figures.reads_failed);
  set("kept", figures.kept);
  set("kept_full", figures.kept_full);
  set("malformed", figures.malformed);
  set("taken_over", figures.taken_over);
  set("taken_over_refused", figures.taken_over_refused);
  set("waiting", figures.waiting);
  set("replicas", figures.replicas);
  return result;
}

void ConntrackShareBinding::close(const Napi::CallbackInfo&) { end(); }

}  // namespace rainfront::addon
