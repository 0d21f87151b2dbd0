#include "arguments.h"

#include <arpa/inet.h>

#include <array>
#include <cstdio>

namespace rainfront::addon {

Napi::Error codedError(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Napi::Error codedError(Napi::Env env, const PortError& error) { return codedError(env, error.code, error.what()); }

Napi::Error badArgument(Napi::Env env, const std::string& field, const std::string& expected) {
  return codedError(env, "RF_ARGUMENT", field + " must be " + expected);
}

std::string stringField(const Napi::Object& object, const char* field) {
  Napi::Value value = object.Get(field);
  if (!value.IsString()) throw badArgument(object.Env(), field, "a string");
  return value.As<Napi::String>().Utf8Value();
}

uint16_t nodeIdOf(const Napi::Value& value, const char* field) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (!(number >= 1 && number <= 65535) || number != static_cast<double>(static_cast<uint16_t>(number)))
    throw badArgument(value.Env(), field, "a whole number from 1 to 65535");
  return static_cast<uint16_t>(number);
}

uint64_t bigintOf(const Napi::Value& value, const char* field) {
  bool lossless = false;
  if (!value.IsBigInt()) throw badArgument(value.Env(), field, "a bigint");
  const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) throw badArgument(value.Env(), field, "a bigint from 0 to 2^64 - 1");
  return number;
}

Mac macField(const Napi::Object& object, const char* field) {
  const std::string text = stringField(object, field);
  unsigned b[6];
  int end = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6 ||
      static_cast<std::size_t>(end) != text.size())
    throw badArgument(object.Env(), field, "a MAC address such as 02:00:00:00:00:01");
  Mac mac;
  for (std::size_t i = 0; i < mac.size(); i++) mac[i] = static_cast<uint8_t>(b[i]);
  return mac;
}

std::optional<uint32_t> parseIpv4(const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::string formatIpv4(uint32_t address) {
  const in_addr in{htonl(address)};
  std::array<char, INET_ADDRSTRLEN> text{};
  return ::inet_ntop(AF_INET, &in, text.data(), text.size());
}

std::optional<Address> parseAddress(const std::string& text) {
  if (const auto address = parseIpv4(text)) return ipv4Address(*address);
  std::array<uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return std::nullopt;
  return Address{RF_ETHERTYPE_IPV6, rf_load64(bytes.data()), rf_load64(bytes.data() + 8)};
}

std::string formatAddress(const Address& address) {
  if (address.family == RF_ETHERTYPE_IPV4) return formatIpv4(static_cast<uint32_t>(address.low));
  std::array<uint8_t, 16> bytes{};
  for (unsigned i = 0; i < 8; i++) {
    bytes[i] = static_cast<uint8_t>(address.high >> (56 - 8 * i));
    bytes[8 + i] = static_cast<uint8_t>(address.low >> (56 - 8 * i));
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
}

std::string formatMac(const Mac& mac) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text.data();
}

}  // namespace rainfront::addon
