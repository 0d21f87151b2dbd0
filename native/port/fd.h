// RAII for file descriptors and mappings, and the one exception type that the port throws while it is being set up.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace rainfront {

// A system call failed while a port was opened. `code` is the RF_ code that JavaScript shows.
class PortError : public std::runtime_error {
 public:
  PortError(std::string rf_code, const std::string& what, int error_number)
      : std::runtime_error(what + ": " + std::strerror(error_number)), code(std::move(rf_code)) {}
  std::string code;
};

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

class Mapping {
 public:
  Mapping() = default;
  Mapping(int fd, std::size_t size) : size_(size), at_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {
    if (at_ == MAP_FAILED) throw PortError("RF_PORT_RING", "cannot map a packet ring of " + std::to_string(size) + " bytes", errno);
  }
  Mapping(Mapping&& other) noexcept : size_(std::exchange(other.size_, 0)), at_(std::exchange(other.at_, MAP_FAILED)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(at_, other.at_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (at_ != MAP_FAILED) ::munmap(at_, size_);
  }

  uint8_t* at(std::size_t offset) const { return static_cast<uint8_t*>(at_) + offset; }

 private:
  std::size_t size_ = 0;
  void* at_ = MAP_FAILED;
};

}  // namespace rainfront
