// `--name value` arguments of a subcommand. A mistake throws UsageError; main() turns it into exit status 2.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "network.h"

namespace testhost {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Arguments {
 public:
  // Takes what follows the subcommand; every name must be one of `known`.
  Arguments(int argc, char** argv, const std::vector<std::string>& known);

  std::string text(const std::string& name) const;
  Address address(const std::string& name) const;
  Mac mac(const std::string& name) const;
  // Of either family.
  IpAddress ipAddress(const std::string& name) const;
  enum class Families { one, both };
  // `one`: all of a list are of the same.
  std::vector<IpAddress> ipAddresses(const std::string& name, Families families = Families::one) const;
  // Empty when it is not given.
  std::string optional(const std::string& name) const;
  int64_t number(const std::string& name, int64_t fallback, int64_t min, int64_t max) const;
  int64_t microseconds(const std::string& name, int64_t fallback_us) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace testhost
