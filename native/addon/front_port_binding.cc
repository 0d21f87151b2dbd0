#include "front_port_binding.h"

#include <optional>

#include "../port/front_port.h"
#ifdef RF_HAS_XDP
#include "../xdp/xdp_port.h"
#endif
#include "arguments.h"
#include "flow_exchange_binding.h"
#include "tables_arguments.h"

namespace rainfront::addon {

namespace {

// `backend`: af_packet or xdp.
std::unique_ptr<Port> openPort(Napi::Env env, const std::string& backend, const PortOptions& options) {
  if (backend == "af_packet") return std::make_unique<FrontPort>(options);
#ifdef RF_HAS_XDP
  if (backend == "xdp") return std::make_unique<XdpPort>(options);
#else
  if (backend == "xdp") throw codedError(env, "RF_XDP_MISSING", "this addon was built without clang or libbpf, and has no XDP program");
#endif
  throw badArgument(env, "backend", "af_packet or xdp");
}

}  // namespace

class FrontPortBinding::AttachAgain final : public Napi::AsyncWorker {
 public:
  AttachAgain(Napi::Env env, FrontPortBinding& binding)
      : Napi::AsyncWorker(env, "rainfront:attachAgain"), binding_(binding), kept_(Napi::Persistent(binding.Value())), result_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return result_.Promise(); }

 private:
  void Execute() override {
    const std::lock_guard lock(binding_.attaching_);
    try {
      was_off_ = binding_.port_ && binding_.port_->attachAgain();
    } catch (const PortError& error) {
      error_ = error;
    }
  }

  void OnOK() override {
    if (error_) return result_.Reject(codedError(Env(), *error_).Value());
    result_.Resolve(Napi::Boolean::New(Env(), was_off_));
  }

  void OnError(const Napi::Error& error) override { result_.Reject(error.Value()); }

  FrontPortBinding& binding_;
  const Napi::ObjectReference kept_;
  const Napi::Promise::Deferred result_;
  bool was_off_ = false;
  std::optional<PortError> error_;
};

Napi::Function FrontPortBinding::define(Napi::Env env) {
  return DefineClass(env, "FrontPort",
                     {
                         InstanceMethod<&FrontPortBinding::setTables>("setTables"),
                         InstanceMethod<&FrontPortBinding::setVips>("setVips"),
                         InstanceMethod<&FrontPortBinding::setLease>("setLease"),
                         InstanceMethod<&FrontPortBinding::leaseUntil>("leaseUntil"),
                         InstanceMethod<&FrontPortBinding::memberSince>("memberSince"),
                         InstanceMethod<&FrontPortBinding::announceAgain>("announceAgain"),
                         InstanceMethod<&FrontPortBinding::collectCounters>("collectCounters"),
                         InstanceMethod<&FrontPortBinding::attachAgain>("attachAgain"),
                         InstanceMethod<&FrontPortBinding::mode>("mode"),
                         InstanceMethod<&FrontPortBinding::close>("close"),
                         InstanceMethod<&FrontPortBinding::leave>("leave"),
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

  const std::string backend = stringField(options, "backend");
  const PortOptions port{stringField(options, "nic"), stringField(options, "outer"), macField(options, "frontMac"), static_cast<uint64_t*>(words),
                         FlowExchangeBinding::of(options.Get("flows"), backend)};
  has_flows_ = port.flows != nullptr;
  port_ = coded(env, [&] { return openPort(env, backend, port); });
}

Port& FrontPortBinding::open(Napi::Env env) {
  if (!port_) throw codedError(env, "RF_PORT_CLOSED", "this front port is closed");
  return *port_;
}

void FrontPortBinding::setTables(const Napi::CallbackInfo& info) {
  auto tables = steeringTableOf(info[0]);
  if (tables->assignment && !has_flows_) throw badArgument(info.Env(), "tables.assignment", "left out for a port without flows");
  coded(info.Env(), [&] { open(info.Env()).setTables(std::move(tables)); });
}

Napi::Value FrontPortBinding::setVips(const Napi::CallbackInfo& info) {
  Port& port = open(info.Env());
  VipSet vips = vipSetOf(info[0]);
  return Napi::Boolean::New(info.Env(), coded(info.Env(), [&] { return port.setVips(std::move(vips)); }));
}

Napi::Value FrontPortBinding::setLease(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), open(info.Env()).setLease(bigintOf(info[0], "until_ns")));
}

Napi::Value FrontPortBinding::leaseUntil(const Napi::CallbackInfo& info) { return Napi::BigInt::New(info.Env(), open(info.Env()).leaseUntil_ns()); }

Napi::Value FrontPortBinding::memberSince(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), open(info.Env()).memberSince(nodeIdOf(info[0], "node")));
}

void FrontPortBinding::announceAgain(const Napi::CallbackInfo& info) { open(info.Env()).announceAgain(); }

void FrontPortBinding::collectCounters(const Napi::CallbackInfo& info) {
  coded(info.Env(), [&] { open(info.Env()).collectCounters(); });
}

Napi::Value FrontPortBinding::attachAgain(const Napi::CallbackInfo& info) {
  (void)open(info.Env());
  auto* work = new AttachAgain(info.Env(), *this);  // deletes itself
  work->Queue();
  return work->promise();
}

std::unique_ptr<Port> FrontPortBinding::take() {
  const std::lock_guard lock(attaching_);
  return std::move(port_);
}

Napi::Value FrontPortBinding::mode(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), open(info.Env()).mode()); }

void FrontPortBinding::leave(const Napi::CallbackInfo&) { take().reset(); }

void FrontPortBinding::close(const Napi::CallbackInfo& info) {
  const std::unique_ptr<Port> port = take();
  if (port) coded(info.Env(), [&] { port->remove(); });
}

}  // namespace rainfront::addon
