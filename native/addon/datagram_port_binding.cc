#include "datagram_port_binding.h"

#include <arpa/inet.h>

#include <cmath>
#include <ctime>

#include "arguments.h"

namespace rainfront::addon {
namespace {

constexpr uint32_t kAddressesMax = 64;
constexpr uint32_t kPeersMax = 65536;

uint32_t addressOf(const Napi::Object& object, const char* field) {
  const auto address = parseIpv4(stringField(object, field));
  if (!address) throw badArgument(object.Env(), field, "an IPv4 address");
  return htonl(*address);
}

int32_t integerField(const Napi::Object& object, const char* field, int32_t min, int32_t max) {
  Napi::Value value = object.Get(field);
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= min && number <= max) || number != std::floor(number))
    throw badArgument(object.Env(), field, "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return static_cast<int32_t>(number);
}

Napi::Array arrayField(const Napi::Object& object, const char* field, uint32_t min, uint32_t max) {
  Napi::Value value = object.Get(field);
  if (!value.IsArray() || value.As<Napi::Array>().Length() < min || value.As<Napi::Array>().Length() > max)
    throw badArgument(object.Env(), field, "an array of " + std::to_string(min) + " to " + std::to_string(max) + " elements");
  return value.As<Napi::Array>();
}

std::vector<uint32_t> addressesField(const Napi::Object& options) {
  Napi::Array list = arrayField(options, "addresses", 1, kAddressesMax);
  std::vector<uint32_t> addresses;
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Value item = list.Get(i);
    const auto address = item.IsString() ? parseIpv4(item.As<Napi::String>().Utf8Value()) : std::nullopt;
    if (!address) throw badArgument(options.Env(), "addresses[]", "an IPv4 address");
    addresses.push_back(htonl(*address));
  }
  return addresses;
}

std::vector<datagram::Peer> peersField(const Napi::Object& options, std::size_t paths) {
  Napi::Array list = arrayField(options, "peers", 0, kPeersMax);
  std::vector<datagram::Peer> peers;
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Value item = list.Get(i);
    if (!item.IsObject()) throw badArgument(options.Env(), "peers[]", "an object");
    Napi::Object peer = item.As<Napi::Object>();
    peers.push_back({integerField(peer, "path", 0, static_cast<int32_t>(paths) - 1), addressOf(peer, "address")});
  }
  return peers;
}

// Elements of a typed array, and a reference that keeps them.
template <typename Element>
std::span<Element> memoryField(const Napi::Object& object, const char* field, napi_typedarray_type type, const char* expected,
                               Napi::Reference<Napi::TypedArray>& keeper) {
  Napi::Value value = object.Get(field);
  napi_typedarray_type actual{};
  std::size_t length = 0;
  void* data = nullptr;
  if (!value.IsTypedArray() || napi_get_typedarray_info(object.Env(), value, &actual, &length, &data, nullptr, nullptr) != napi_ok ||
      actual != type || data == nullptr)
    throw badArgument(object.Env(), field, expected);
  keeper = Napi::Persistent(value.As<Napi::TypedArray>());
  const std::size_t bytes = type == napi_int32_array ? length * sizeof(int32_t) : length;
  return {static_cast<Element*>(data), bytes / sizeof(Element)};
}

}  // namespace

Napi::Function DatagramPortBinding::define(Napi::Env env) {
  return DefineClass(env, "DatagramPort",
                     {
                         InstanceMethod<&DatagramPortBinding::listen>("listen"),
                         InstanceMethod<&DatagramPortBinding::flush>("flush"),
                         InstanceMethod<&DatagramPortBinding::setTimer>("setTimer"),
                         InstanceMethod<&DatagramPortBinding::now>("now_ms"),
                         InstanceMethod<&DatagramPortBinding::counters>("counters"),
                         InstanceMethod<&DatagramPortBinding::close>("close"),
                     });
}

DatagramPortBinding::DatagramPortBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DatagramPortBinding>(info) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) throw badArgument(env, "options", "an object");
  Napi::Object options = info[0].As<Napi::Object>();
  datagram::DatagramPortOptions parsed{};
  parsed.addresses = addressesField(options);
  parsed.port = static_cast<uint16_t>(integerField(options, "port", 1, 65535));
  parsed.peers = peersField(options, parsed.addresses.size());
  parsed.buffer_bytes = integerField(options, "buffer_bytes", 1, 1 << 28);
  parsed.incoming = memoryField<uint8_t>(options, "incoming", napi_uint8_array, "a Buffer", incoming_);
  parsed.arrivals = memoryField<datagram::Arrival>(options, "arrivals", napi_int32_array, "an Int32Array", arrivals_);
  parsed.outgoing = memoryField<uint8_t>(options, "outgoing", napi_uint8_array, "a Buffer", outgoing_);
  parsed.departures = memoryField<datagram::Departure>(options, "departures", napi_int32_array, "an Int32Array", departures_);
  if (parsed.incoming.size() < datagram::kSlotBytes) throw badArgument(env, "incoming", "65536 bytes or more");
  if (parsed.arrivals.size() < datagram::kPartsMax) throw badArgument(env, "arrivals", "128 times 4 words or more");
  try {
    port_ = std::make_shared<datagram::DatagramPort>(parsed);
  } catch (const PortError& error) {
    throw codedError(env, error);
  }
}

DatagramPortBinding::~DatagramPortBinding() {
  if (watch_ != nullptr) watch_->close();
}

datagram::DatagramPort& DatagramPortBinding::open(Napi::Env env) {
  if (!port_) throw codedError(env, "RF_PORT_CLOSED", "this datagram port is closed");
  return *port_;
}

void DatagramPortBinding::listen(const Napi::CallbackInfo& info) {
  datagram::DatagramPort& port = open(info.Env());
  if (!info[0].IsFunction()) throw badArgument(info.Env(), "onWake", "a function");
  on_wake_ = Napi::Persistent(info[0].As<Napi::Function>());
  if (watch_ != nullptr) return;
  watch_ = LoopWatch::open(info.Env(), port.fd(), this);
  if (watch_ == nullptr) throw codedError(info.Env(), "RF_PORT_SOCKET", "the event loop cannot wait for the port");
  Ref();  // while the loop may call it, it is not garbage
}

void DatagramPortBinding::onReadable() {
  const auto port = port_;  // onWake may close
  napi_env env = Env();
  napi_handle_scope scope = nullptr;
  if (port == nullptr || napi_open_handle_scope(env, &scope) != napi_ok) return;
  const datagram::Wake wake = port->receive();
  if (wake.count > 0 || wake.timer) {
    napi_value arguments[2];
    napi_value result = nullptr;
    if (napi_create_uint32(env, wake.count, &arguments[0]) == napi_ok && napi_get_boolean(env, wake.timer, &arguments[1]) == napi_ok &&
        napi_make_callback(env, nullptr, Value(), on_wake_.Value(), 2, arguments, &result) == napi_pending_exception) {
      // Not when the thread is being terminated: there is no exception then.
      napi_value thrown = nullptr;
      bool pending = false;
      if (napi_is_exception_pending(env, &pending) == napi_ok && pending && napi_get_and_clear_last_exception(env, &thrown) == napi_ok)
        napi_fatal_exception(env, thrown);
    }
  }
  port->done();
  napi_close_handle_scope(env, scope);
}

void DatagramPortBinding::onEnvironmentEnd() {
  watch_ = nullptr;
  port_.reset();
}

void DatagramPortBinding::flush(const Napi::CallbackInfo& info) {
  datagram::DatagramPort& port = open(info.Env());
  uint32_t count = 0;
  if (napi_get_value_uint32(info.Env(), info[0], &count) != napi_ok || !port.flush(count))
    throw badArgument(info.Env(), "departures", "within the outgoing slab, and to peers");
}

void DatagramPortBinding::setTimer(const Napi::CallbackInfo& info) {
  datagram::DatagramPort& port = open(info.Env());
  double at_ms = 0;
  if (napi_get_value_double(info.Env(), info[0], &at_ms) != napi_ok || std::isnan(at_ms)) throw badArgument(info.Env(), "at_ms", "a number");
  constexpr double kNever_ms = 9e12;  // what 64 bits of nanoseconds hold
  port.setTimer(at_ms >= kNever_ms ? 0 : std::max<int64_t>(1, static_cast<int64_t>(std::ceil(std::max(at_ms, 0.0) * 1e6))));
}

Napi::Value DatagramPortBinding::now(const Napi::CallbackInfo& info) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Napi::Number::New(info.Env(), static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6);
}

Napi::Value DatagramPortBinding::counters(const Napi::CallbackInfo& info) {
  datagram::DatagramPort& port = open(info.Env());
  Napi::Object counters = Napi::Object::New(info.Env());
  for (std::size_t i = 0; i < datagram::kCounters; i++)
    counters.Set(datagram::kCounterNames[i], static_cast<double>(port.counter(static_cast<datagram::Counter>(i))));
  return counters;
}

void DatagramPortBinding::close(const Napi::CallbackInfo&) {
  port_.reset();
  if (watch_ == nullptr) return;
  watch_->close();
  watch_ = nullptr;
  Unref();
}

}  // namespace rainfront::addon
