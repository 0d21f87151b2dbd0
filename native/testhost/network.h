// Addresses and sockets as the subcommands use them.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace testhost {

using Address = uint32_t;  // IPv4, host byte order
using Mac = std::array<uint8_t, 6>;

inline std::optional<Address> parseAddress(const std::string& text) {
  in_addr parsed;
  if (inet_pton(AF_INET, text.c_str(), &parsed) != 1) return std::nullopt;
  return ntohl(parsed.s_addr);
}

inline std::string addressText(Address address) {
  const in_addr raw{htonl(address)};
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &raw, text, sizeof text);
}

// Of either family, in network order; an IPv4 address is the first four bytes.
struct IpAddress {
  bool is_ipv6 = false;
  std::array<uint8_t, 16> bytes{};

  bool operator==(const IpAddress&) const = default;
};

inline std::optional<IpAddress> parseIpAddress(const std::string& text) {
  IpAddress address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) return address;
  address.is_ipv6 = true;
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

inline std::string addressText(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(address.is_ipv6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length;

  explicit SocketAddress(const IpAddress& address, uint16_t port = 0) : length(address.is_ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)) {
    storage.ss_family = address.is_ipv6 ? AF_INET6 : AF_INET;
    void* where = address.is_ipv6 ? static_cast<void*>(&reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr)
                                  : static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&storage)->sin_addr);
    memcpy(where, address.bytes.data(), address.is_ipv6 ? 16 : 4);
    // The port is in the same place of both.
    reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline std::string macText(const Mac& mac) {
  char text[18];
  snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

[[noreturn]] inline void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

class FileDescriptor {
 public:
  FileDescriptor(int fd, const std::string& what) : fd_(fd) {
    if (fd < 0) fail(what);
  }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace testhost
