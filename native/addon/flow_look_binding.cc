#include "flow_look_binding.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include <array>
#include <exception>
#include <limits>
#include <memory>
#include <optional>

#include "../conntrack/conntrack_lookup.h"
#include "arguments.h"
#include "flow_exchange_binding.h"
#include "tables_arguments.h"

namespace rainfront::addon {

namespace {

// So many flows one look may ask for: all of them become objects.
constexpr uint32_t kFlows_max = 10'000;

uint32_t wholeField(const Napi::Object& object, const char* field, uint32_t max) {
  const Napi::Value value = object.Get(field);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= max) || number != static_cast<double>(static_cast<uint32_t>(number)))
    throw badArgument(object.Env(), field, "a whole number from 0 to " + std::to_string(max));
  return static_cast<uint32_t>(number);
}

Address addressField(const Napi::Object& object, const char* field) {
  const auto address = parseAddress(stringField(object, field));
  if (!address) throw badArgument(object.Env(), field, "an IP address");
  return *address;
}

Napi::Object tupleObject(Napi::Env env, const ConntrackTuple& tuple) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("protocol", tuple.protocol);
  object.Set("source", formatAddress(tuple.source));
  object.Set("sourcePort", tuple.source_port);
  object.Set("destination", formatAddress(tuple.destination));
  object.Set("destinationPort", tuple.destination_port);
  return object;
}

const char* stateOf(const ConntrackEntry& entry) {
  static constexpr std::array<const char*, TCP_CONNTRACK_MAX> kTcp = {"none", "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent2"};
  if (entry.original.protocol == RF_PROTO_TCP) return entry.tcp_state < kTcp.size() ? kTcp[entry.tcp_state] : "unknown";
  return (entry.status & IPS_SEEN_REPLY) != 0 ? "answered" : "unanswered";
}

const char* lifeOf(const rf_assignment& assignment) {
  static constexpr std::array<const char*, RF_LIFE_COUNT> kLives = {"opening", "closing", "datagram", "stream"};
  return kLives[rf_assignment_life(&assignment)];
}

// The way of its first packet, as far as that is known.
ConntrackTuple tupleOf(const SeenFlow& seen) {
  const auto& key = seen.key;
  const Address low{key.family, key.addr_low[0], key.addr_low[1]}, high{key.family, key.addr_high[0], key.addr_high[1]};
  const auto port_low = static_cast<uint16_t>(key.ports >> 16), port_high = static_cast<uint16_t>(key.ports);
  const auto protocol = static_cast<uint8_t>(key.protocol);
  if (rf_assignment_has(&seen.assignment, RF_ASSIGNED_FROM_LOW)) return {low, high, port_low, port_high, 0, protocol};
  return {high, low, port_high, port_low, 0, protocol};
}

Napi::Object sightObject(Napi::Env env, const FlowExchange::Sight& sight) {
  const rf_assignment& assignment = sight.flow.assignment;
  Napi::Object object = Napi::Object::New(env);
  object.Set("flow", tupleObject(env, tupleOf(sight.flow)));
  object.Set("node", assignment.node);
  object.Set("epoch", static_cast<double>(assignment.epoch));
  object.Set("place", sight.flow.place == RF_FLOW_OPENING ? "opening" : "established");
  object.Set("life", lifeOf(assignment));
  object.Set("isHeld", sight.is_held);
  object.Set("isAnswered", rf_assignment_has(&assignment, RF_ASSIGNED_ANSWERED) != 0);
  object.Set("isAlias", rf_assignment_has(&assignment, RF_ASSIGNED_ALIAS) != 0);
  object.Set("isGuessed", rf_assignment_has(&assignment, RF_ASSIGNED_GUESSED) != 0);
  object.Set("idle_ms", static_cast<double>(sight.flow.idle_ns / 1'000'000));
  return object;
}

std::shared_ptr<FlowExchange> exchangeArgument(const Napi::Value& value) {
  if (!value.IsNumber()) throw badArgument(value.Env(), "handle", "a FlowExchange's");
  auto exchange = FlowExchangeBinding::byHandle(value.As<Napi::Number>().Uint32Value());
  if (exchange == nullptr) throw codedError(value.Env(), "RF_PORT_CLOSED", "this exchange of flows is closed");
  return exchange;
}

Napi::Value slot(const Napi::CallbackInfo& info) {
  const rf_flow_key key = flowKeyArgument(info[0]);
  const rf_hash_key secret = hashKeyOf(info[1]);
  return Napi::Number::New(info.Env(), rf_maglev_slot(rf_flow_hash(&key, &secret)));
}

Napi::Value portOwner(const Napi::CallbackInfo& info) {
  const rf_flow_key key = flowKeyArgument(info[0]);
  const rf_port_ranges ranges = portRangesOf(info[1]);
  return Napi::Number::New(info.Env(), rf_port_owner(&ranges, &key));
}

Napi::Value known(const Napi::CallbackInfo& info) {
  const auto exchange = exchangeArgument(info[0]);
  const auto sight = exchange->peek(flowKeyArgument(info[1]));
  return sight ? sightObject(info.Env(), *sight) : info.Env().Undefined();
}

Napi::Value connection(const Napi::CallbackInfo& info) {
  const rf_flow_key key = flowKeyArgument(info[0]);
  const auto found = coded(info.Env(), [&] { return findConnections({&key, 1}); });
  return found[0] ? connectionObject(info.Env(), *found[0]) : info.Env().Undefined();
}

// A million flows take a while to read: not in JavaScript's thread.
class List final : public Napi::AsyncWorker {
 public:
  List(Napi::Env env, std::shared_ptr<FlowExchange> exchange, std::optional<uint16_t> node, std::size_t flows_max)
      : Napi::AsyncWorker(env, "rainfront:flows"), exchange_(std::move(exchange)), node_(node), flows_max_(flows_max), result_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return result_.Promise(); }

 private:
  void Execute() override {
    try {
      overview_ = exchange_->overview(node_, flows_max_);
    } catch (const PortError& error) {
      error_ = error;
    } catch (const std::exception& error) {
      SetError(error.what());
    }
    exchange_.reset();
  }

  void OnOK() override {
    Napi::Env env = Env();
    if (error_) return result_.Reject(codedError(env, *error_).Value());
    Napi::Array flows = Napi::Array::New(env, overview_.flows.size());
    for (uint32_t i = 0; i < overview_.flows.size(); i++) flows.Set(i, sightObject(env, overview_.flows[i]));
    Napi::Array counts = Napi::Array::New(env, overview_.of_nodes.size());
    uint32_t at = 0;
    for (const auto& [node, count] : overview_.of_nodes) {
      Napi::Object one = Napi::Object::New(env);
      one.Set("node", node);
      one.Set("flows", static_cast<double>(count));
      counts.Set(at++, one);
    }
    Napi::Object all = Napi::Object::New(env);
    all.Set("flows", flows);
    all.Set("counts", counts);
    result_.Resolve(all);
  }

  void OnError(const Napi::Error& error) override { result_.Reject(error.Value()); }

  std::shared_ptr<FlowExchange> exchange_;
  const std::optional<uint16_t> node_;
  const std::size_t flows_max_;
  const Napi::Promise::Deferred result_;
  FlowExchange::Overview overview_;
  std::optional<PortError> error_;
};

Napi::Value list(const Napi::CallbackInfo& info) {
  auto exchange = exchangeArgument(info[0]);
  if (!info[1].IsObject()) throw badArgument(info.Env(), "options", "an object");
  const Napi::Object options = info[1].As<Napi::Object>();
  std::optional<uint16_t> node;
  if (!options.Get("node").IsUndefined()) node = nodeIdOf(options.Get("node"), "node");
  const uint32_t flows_max = wholeField(options, "flows_max", kFlows_max);
  auto* work = new List(info.Env(), std::move(exchange), node, flows_max);  // deletes itself
  work->Queue();
  return work->promise();
}

}  // namespace

rf_flow_key flowKeyArgument(const Napi::Value& value) {
  if (!value.IsObject()) throw badArgument(value.Env(), "flow", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  ConntrackTuple tuple{addressField(object, "source"), addressField(object, "destination")};
  if (tuple.source.family != tuple.destination.family) throw badArgument(value.Env(), "destination", "of the source's family");
  constexpr uint32_t kPort_max = std::numeric_limits<uint16_t>::max();
  tuple.source_port = static_cast<uint16_t>(wholeField(object, "sourcePort", kPort_max));
  tuple.destination_port = static_cast<uint16_t>(wholeField(object, "destinationPort", kPort_max));
  tuple.protocol = static_cast<uint8_t>(wholeField(object, "protocol", std::numeric_limits<uint8_t>::max()));
  return flowKeyOf(tuple);
}

Napi::Object connectionObject(Napi::Env env, const ConntrackEntry& entry) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("original", tupleObject(env, entry.original));
  object.Set("reply", tupleObject(env, entry.reply));
  object.Set("state", stateOf(entry));
  object.Set("isAssured", (entry.status & IPS_ASSURED) != 0);
  object.Set("timeout_s", static_cast<double>(entry.timeout_s));
  return object;
}

Napi::Object flowLookExports(Napi::Env env) {
  Napi::Object exports = Napi::Object::New(env);
  exports.Set("slot", Napi::Function::New(env, slot, "slot"));
  exports.Set("portOwner", Napi::Function::New(env, portOwner, "portOwner"));
  exports.Set("known", Napi::Function::New(env, known, "known"));
  exports.Set("connection", Napi::Function::New(env, connection, "connection"));
  exports.Set("list", Napi::Function::New(env, list, "list"));
  return exports;
}

}  // namespace rainfront::addon
