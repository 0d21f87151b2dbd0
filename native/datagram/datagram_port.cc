#include "datagram_port.h"

#include <sys/epoll.h>

#include <array>

namespace rainfront::datagram {
namespace {

constexpr uint32_t kTimerTag = UINT32_MAX;
constexpr std::size_t kEventsMax = 65;  // 64 paths and the timer
// A timer that is due lets that many full batches pass.
constexpr unsigned kTimerWaits_max = 8;

}  // namespace

DatagramPort::DatagramPort(const DatagramPortOptions& options)
    : peers_(options.peers),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      receiver_(options.incoming, options.arrivals, peers_, counters_),
      sender_(options.outgoing, options.departures, peers_, options.port, counters_) {
  if (epoll_.get() < 0 || timer_.fd() < 0) throw systemError("cannot open a timer", errno);
  watch(timer_.fd(), kTimerTag);
  sockets_.reserve(options.addresses.size());
  for (const uint32_t address : options.addresses) {
    sockets_.emplace_back(address, options.port, options.buffer_bytes);
    watch(sockets_.back().fd(), static_cast<uint32_t>(sockets_.size() - 1));
  }
}

void DatagramPort::watch(int fd, uint32_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) throw systemError("cannot wait for a socket", errno);
}

Wake DatagramPort::receive() {
  receiver_.clear();
  timer_.hold();
  std::array<epoll_event, kEventsMax> events;
  const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  std::array<uint32_t, kEventsMax> paths;
  std::size_t waiting = 0;
  bool timer = false;
  for (int i = 0; i < ready; i++) {
    const uint32_t tag = events[static_cast<std::size_t>(i)].data.u32;
    if (tag == kTimerTag) timer = true;
    else paths[waiting++] = tag;
  }
  bool more = false;
  for (std::size_t i = 0; i < waiting; i++) {
    const uint32_t path = paths[(first_ + i) % waiting];
    more = !receiver_.drain(sockets_[path], static_cast<int32_t>(path), receiver_.slotsLeft() / (waiting - i)) || more;
  }
  first_++;
  if (timer && more && timer_waited_ < kTimerWaits_max) {
    timer_waited_++;
    timer = false;
  } else if (timer) {
    timer_waited_ = 0;
    timer_.onFired();
  }
  if (receiver_.count() > 0 || timer) counters_.add(Counter::wakes);
  return {receiver_.count(), timer};
}

uint64_t DatagramPort::counter(Counter counter) const {
  uint64_t value = counters_[counter];
  if (counter == Counter::receive_overflow)
    for (const UdpSocket& socket : sockets_) value += socket.overflow();
  return value;
}

}  // namespace rainfront::datagram
