#include "udp_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

namespace rainfront::datagram {
namespace {

// Among what a node queues for transmission, the ring's datagrams go first. The highest priority that needs no privilege.
constexpr int kPriority = 6;

// Of a process that was killed, Linux closes the greatest numbers first. Who hears by its connections that it has ended asks this port, and is to find it closed.
constexpr int kNumber_min = 1000;

Fd raised(Fd fd) {
  if (fd.get() < 0) return fd;
  const int high = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kNumber_min);
  if (high < 0) return fd;  // no more than so many are allowed
  return Fd(high);
}

const char* errorName(int error_number) {
  switch (error_number) {
#define RF_NAME(name) \
  case name:          \
    return #name;
    RF_NAME(EADDRINUSE)
    RF_NAME(EADDRNOTAVAIL)
    RF_NAME(EACCES)
    RF_NAME(EPERM)
    RF_NAME(EMFILE)
    RF_NAME(ENFILE)
    RF_NAME(ENOBUFS)
    RF_NAME(ENOMEM)
    RF_NAME(EINVAL)
    RF_NAME(EAFNOSUPPORT)
#undef RF_NAME
    default:
      return "EIO";
  }
}

void set(int fd, int level, int option, int value) { (void)::setsockopt(fd, level, option, &value, sizeof value); }

// Beyond the system-wide limit where the process may.
void setBuffer(int fd, int forced, int usual, int bytes) {
  if (::setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) < 0) set(fd, SOL_SOCKET, usual, bytes);
}

}  // namespace

PortError systemError(const std::string& what, int error_number) { return PortError(errorName(error_number), what, error_number); }

UdpSocket::UdpSocket(uint32_t address, uint16_t port, int buffer_bytes)
    : fd_(raised(Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)))) {
  if (fd() < 0) throw systemError("cannot open a UDP socket", errno);
  setBuffer(fd(), SO_RCVBUFFORCE, SO_RCVBUF, buffer_bytes);
  setBuffer(fd(), SO_SNDBUFFORCE, SO_SNDBUF, buffer_bytes);
  set(fd(), SOL_SOCKET, SO_PRIORITY, kPriority);
  // Refused by kernels before 5.0: datagrams then come one by one.
  set(fd(), IPPROTO_UDP, UDP_GRO, 1);
  // Path MTU discovery is off, in the way that listens to nobody. With DO or WANT, the kernel lowers its idea of a path's MTU at an ICMP
  // message that anybody who knows two addresses can forge: DO would then drop every large datagram, for minutes. PROBE ignores such messages
  // but forbids routers to fragment, so that a path with a smaller MTU is a black hole. OMIT trusts the interface's MTU (to which the ring
  // sizes its datagrams), ignores the messages, and lets a router fragment what does not fit: the worst case is slower, never silent.
  set(fd(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
  // No IP_RECVERR: a port that is closed at one peer would come back as the error of the next send to another one.
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(port);
  local.sin_addr.s_addr = address;
  if (::bind(fd(), reinterpret_cast<sockaddr*>(&local), sizeof local) < 0) {
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &address, text.data(), text.size());
    throw systemError("cannot bind to " + std::string(text.data()) + ":" + std::to_string(port), errno);
  }
}

uint64_t UdpSocket::overflow() const {
  std::array<uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) < 0) return 0;
  return size > SK_MEMINFO_DROPS * sizeof(uint32_t) ? info[SK_MEMINFO_DROPS] : 0;
}

bool UdpSocket::onMergeRefused(int error_number, uint32_t datagram_bytes) {
  switch (error_number) {
    case EIO:  // the interface computes no checksums
    case EOPNOTSUPP:
    case ENOPROTOOPT:
      mergeable_bytes_max_ = 0;
      return true;
    case EINVAL:  // larger than the interface's MTU, or a kernel before 4.18
    case EMSGSIZE:
      mergeable_bytes_max_ = datagram_bytes - 1;
      return true;
    default:
      return false;
  }
}

Counter sendFailure(int error_number) {
  switch (error_number) {
    case EAGAIN:
      return Counter::send_buffer_full;
    case ENOBUFS:
    case ENOMEM:
      return Counter::send_no_memory;
    case EMSGSIZE:
      return Counter::send_too_big;
    case ECONNREFUSED:
      return Counter::send_refused;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case ENODEV:
      return Counter::send_unreachable;
    case EPERM:
    case EACCES:
      return Counter::send_denied;
    default:
      return Counter::send_failed;
  }
}

}  // namespace rainfront::datagram
