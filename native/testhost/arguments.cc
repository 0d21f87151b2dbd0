#include "arguments.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace testhost {

Arguments::Arguments(int argc, char** argv, const std::vector<std::string>& known) {
  for (int i = 0; i < argc; i += 2) {
    const std::string name = argv[i];
    if (std::find(known.begin(), known.end(), name) == known.end()) throw UsageError("unknown argument " + name);
    if (i + 1 >= argc) throw UsageError(name + " needs a value");
    values_[name] = argv[i + 1];
  }
}

std::string Arguments::text(const std::string& name) const {
  const auto at = values_.find(name);
  if (at == values_.end()) throw UsageError(name + " is missing");
  return at->second;
}

Address Arguments::address(const std::string& name) const {
  const auto address = parseAddress(text(name));
  if (!address) throw UsageError(name + ": " + text(name) + " is not an IPv4 address");
  return *address;
}

Mac Arguments::mac(const std::string& name) const {
  unsigned b[6];
  if (sscanf(text(name).c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
    throw UsageError(name + ": " + text(name) + " is not a MAC address");
  Mac mac;
  for (std::size_t i = 0; i < mac.size(); i++) mac[i] = static_cast<uint8_t>(b[i]);
  return mac;
}

IpAddress Arguments::ipAddress(const std::string& name) const {
  const auto address = parseIpAddress(text(name));
  if (!address) throw UsageError(name + ": " + text(name) + " is not an address");
  return *address;
}

std::vector<IpAddress> Arguments::ipAddresses(const std::string& name, Families families) const {
  std::vector<IpAddress> list;
  const std::string all = text(name);
  for (size_t at = 0; at <= all.size();) {
    const size_t comma = std::min(all.find(',', at), all.size());
    const auto address = parseIpAddress(all.substr(at, comma - at));
    if (!address) throw UsageError(name + ": " + all + " is not a list of addresses");
    list.push_back(*address);
    at = comma + 1;
  }
  if (list.size() > 64) throw UsageError(name + ": at most 64 addresses");
  const bool is_mixed = std::any_of(list.begin(), list.end(), [&](const IpAddress& one) { return one.is_ipv6 != list[0].is_ipv6; });
  if (is_mixed && families == Families::one) throw UsageError(name + ": addresses of both families");
  return list;
}

std::string Arguments::optional(const std::string& name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? "" : at->second;
}

int64_t Arguments::number(const std::string& name, int64_t fallback, int64_t min, int64_t max) const {
  const std::string given = optional(name);
  if (given.empty()) return fallback;
  char* end = nullptr;
  errno = 0;
  const long long value = strtoll(given.c_str(), &end, 10);
  if (errno != 0 || *end != '\0' || value < min || value > max) {
    throw UsageError(name + ": " + given + " is not a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return value;
}

int64_t Arguments::microseconds(const std::string& name, int64_t fallback_us) const { return number(name, fallback_us, 50, 10'000'000); }

}  // namespace testhost
