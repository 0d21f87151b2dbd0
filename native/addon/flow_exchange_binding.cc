#include "flow_exchange_binding.h"

#include <linux/netfilter/nf_conntrack_common.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "../conntrack/conntrack_lookup.h"
#include "../port/packet_socket.h"
#include "../tables/flow_map.h"
#ifdef RF_HAS_XDP
#include "../xdp/xdp_flows.h"
#endif
#include "arguments.h"

namespace rainfront::addon {

namespace {

const napi_type_tag kTag = {0x5261696e666c6f77, 0x45786368616e6765};

// Those of all of the process's threads.
class Opened {
 public:
  uint32_t add(const std::shared_ptr<FlowExchange>& exchange) {
    const std::lock_guard guard(lock_);
    std::erase_if(all_, [](const auto& one) { return one.second.expired(); });
    all_.emplace(++last_, exchange);
    return last_;
  }
  std::shared_ptr<FlowExchange> find(uint32_t handle) {
    const std::lock_guard guard(lock_);
    const auto found = all_.find(handle);
    return found == all_.end() ? nullptr : found->second.lock();
  }

 private:
  std::mutex lock_;
  uint32_t last_ = 0;
  std::map<uint32_t, std::weak_ptr<FlowExchange>> all_;
};

Opened& opened() {
  static Opened all;
  return all;
}

std::size_t countField(const Napi::Object& object, const char* field) {
  const Napi::Value value = object.Get(field);
  if (!value.IsNumber() || value.As<Napi::Number>().Int64Value() < 1) throw badArgument(object.Env(), field, "a number above 0");
  return static_cast<std::size_t>(value.As<Napi::Number>().Int64Value());
}

std::size_t bytesArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) throw badArgument(info.Env(), "bytes_max", "a number");
  return static_cast<std::size_t>(std::max<int64_t>(0, info[0].As<Napi::Number>().Int64Value()));
}

std::span<const uint8_t> bytesArgument(const Napi::CallbackInfo& info, const char* name) {
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) throw badArgument(info.Env(), name, "a Uint8Array");
  const auto bytes = info[0].As<Napi::Uint8Array>();
  return {bytes.Data(), bytes.ElementLength()};
}

Napi::Buffer<uint8_t> bufferOf(Napi::Env env, const std::vector<uint8_t>& bytes) { return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size()); }

std::vector<std::optional<FirewallConnection>> findInFirewall(std::span<const rf_flow_key> keys) {
  std::vector<std::optional<FirewallConnection>> found;
  for (const auto& entry : findConnections(keys)) {
    found.emplace_back();
    if (!entry || isOver(*entry)) continue;
    found.back() = FirewallConnection{flowKeyOf(entry->original), flowKeyOf(entry->reply), (entry->status & IPS_SEEN_REPLY) != 0, (entry->status & IPS_ASSURED) != 0};
  }
  return found;
}

std::shared_ptr<FlowStore> storeOf(const Napi::Object& options) {
  Napi::Env env = options.Env();
  const FlowCapacities capacities{countField(options, "established_max"), countField(options, "opening_max")};
  const std::string backend = stringField(options, "backend");
  if (backend == "af_packet") {
    return coded(env, [&]() -> std::shared_ptr<FlowStore> {
      try {
        return std::make_shared<FlowMap>(capacities);
      } catch (const std::bad_alloc&) {
        throw PortError("RF_PORT_RING", "no memory for so many flows", ENOMEM);
      }
    });
  }
#ifdef RF_HAS_XDP
  if (backend == "xdp") {
    const Napi::Value nics = options.Get("nics");
    if (!nics.IsArray()) throw badArgument(env, "nics", "an array of names");
    std::vector<unsigned> indices;
    for (uint32_t i = 0; i < nics.As<Napi::Array>().Length(); i++) {
      const Napi::Value nic = nics.As<Napi::Array>().Get(i);
      if (!nic.IsString()) throw badArgument(env, "nics", "an array of names");
      indices.push_back(coded(env, [&] { return interfaceIndex(nic.As<Napi::String>().Utf8Value()); }));
    }
    return coded(env, [&]() -> std::shared_ptr<FlowStore> { return std::make_shared<XdpFlows>(capacities, indices); });
  }
#endif
  throw badArgument(env, "backend", "af_packet or xdp");
}

}  // namespace

Napi::Function FlowExchangeBinding::define(Napi::Env env) {
  return DefineClass(env, "FlowExchange",
                     {
                         InstanceMethod<&FlowExchangeBinding::takeQuestions>("takeQuestions"),
                         InstanceMethod<&FlowExchangeBinding::answer>("answer"),
                         InstanceMethod<&FlowExchangeBinding::settle>("settle"),
                         InstanceMethod<&FlowExchangeBinding::abandon>("abandon"),
                         InstanceMethod<&FlowExchangeBinding::takeTold>("takeTold"),
                         InstanceMethod<&FlowExchangeBinding::learn>("learn"),
                         InstanceMethod<&FlowExchangeBinding::figures>("figures"),
                         InstanceAccessor<&FlowExchangeBinding::handle>("handle"),
                         InstanceMethod<&FlowExchangeBinding::close>("close"),
                     });
}

FlowExchangeBinding::FlowExchangeBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FlowExchangeBinding>(info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw badArgument(env, "options", "an object");
  if (!info[1].IsFunction()) throw badArgument(env, "onWaiting", "a function");
  const Napi::Object options = info[0].As<Napi::Object>();
  const FlowExchange::Limits limits{countField(options, "questions_max"), countField(options, "questions_per_s"), countField(options, "told_max"),
                                    countField(options, "told_per_s")};
  backend_ = stringField(options, "backend");
  auto store = storeOf(options);
  auto on_waiting = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(), "rainfront:flows", 1, 1);
  // The process may end although it listens.
  on_waiting.Unref(env);
  // Released when nobody has it any more: this object and the ports.
  const std::shared_ptr<Napi::ThreadSafeFunction> kept(new Napi::ThreadSafeFunction(on_waiting), [](Napi::ThreadSafeFunction* one) {
    one->Release();
    delete one;
  });
  exchange_ = std::make_shared<FlowExchange>(std::move(store), limits, [kept] { (void)kept->NonBlockingCall(); }, findInFirewall);
  handle_ = opened().add(exchange_);
  napi_type_tag_object(env, info.This(), &kTag);
}

std::shared_ptr<FlowExchange> FlowExchangeBinding::of(const Napi::Value& value, const std::string& backend) {
  if (value.IsUndefined()) return nullptr;
  bool is_one = false;
  if (value.IsObject()) napi_check_object_type_tag(value.Env(), value, &kTag, &is_one);
  if (!is_one) throw badArgument(value.Env(), "flows", "a FlowExchange");
  FlowExchangeBinding* binding = Napi::ObjectWrap<FlowExchangeBinding>::Unwrap(value.As<Napi::Object>());
  (void)binding->open(value.Env());
  if (binding->backend_ != backend) throw badArgument(value.Env(), "flows", "a FlowExchange of the port's backend");
  return binding->exchange_;
}

FlowExchange& FlowExchangeBinding::open(Napi::Env env) {
  if (!exchange_) throw codedError(env, "RF_PORT_CLOSED", "this exchange of flows is closed");
  return *exchange_;
}

Napi::Value FlowExchangeBinding::takeQuestions(const Napi::CallbackInfo& info) { return bufferOf(info.Env(), open(info.Env()).takeQuestions(bytesArgument(info))); }

Napi::Value FlowExchangeBinding::answer(const Napi::CallbackInfo& info) {
  const auto records = open(info.Env()).answer(bytesArgument(info, "keys"));
  return records ? bufferOf(info.Env(), *records) : info.Env().Undefined();
}

void FlowExchangeBinding::settle(const Napi::CallbackInfo& info) { open(info.Env()).settle(bytesArgument(info, "keys")); }

void FlowExchangeBinding::abandon(const Napi::CallbackInfo& info) { open(info.Env()).abandon(bytesArgument(info, "keys")); }

Napi::Value FlowExchangeBinding::takeTold(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto deliveries = open(env).takeTold(bytesArgument(info));
  Napi::Array list = Napi::Array::New(env, deliveries.size());
  for (uint32_t i = 0; i < deliveries.size(); i++) {
    Napi::Object delivery = Napi::Object::New(env);
    delivery.Set("node", deliveries[i].node);
    delivery.Set("records", bufferOf(env, deliveries[i].records));
    list.Set(i, delivery);
  }
  return list;
}

void FlowExchangeBinding::learn(const Napi::CallbackInfo& info) { open(info.Env()).learn(bytesArgument(info, "records")); }

Napi::Value FlowExchangeBinding::figures(const Napi::CallbackInfo& info) {
  const FlowExchange::Figures figures = open(info.Env()).figures();
  Napi::Object result = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
  set("asked", figures.asked);
  set("asked_full", figures.asked_full);
  set("found", figures.found);
  set("unknown", figures.unknown);
  set("abandoned", figures.abandoned);
  set("answered", figures.answered);
  set("answered_by_firewall", figures.answered_by_firewall);
  set("firewall_failed", figures.firewall_failed);
  set("firewall_full", figures.firewall_full);
  set("told", figures.told);
  set("told_full", figures.told_full);
  set("learned", figures.learned);
  set("corrected", figures.corrected);
  set("outdated", figures.outdated);
  set("malformed", figures.malformed);
  return result;
}

Napi::Value FlowExchangeBinding::handle(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), handle_); }

std::shared_ptr<FlowExchange> FlowExchangeBinding::byHandle(uint32_t handle) { return opened().find(handle); }

void FlowExchangeBinding::close(const Napi::CallbackInfo&) { exchange_.reset(); }

}  // namespace rainfront::addon
