#include "xdp_port.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <array>

#include "../flows/flow_exchange.h"
#include "../port/clock.h"
#include "../port/ethtool.h"
#include "../port/packet_socket.h"
#include "../port/port_thread.h"
#include "spare.h"

namespace rainfront {

namespace {

constexpr int kParkPoll_ms = 1;
constexpr uint64_t kRetry_ns = 1'000'000;

const XdpFlows* flowsOf(const PortOptions& options) { return options.flows ? dynamic_cast<const XdpFlows*>(&options.flows->store()) : nullptr; }

std::unique_ptr<XdpProgram> programFor(const PortOptions& options, const std::optional<AttachedXdp>& before) {
  const XdpFlows* flows = flowsOf(options);
  const Mac& front_mac = options.front_mac;
  if (before) return std::make_unique<XdpProgram>(front_mac, flows, before->maps);
  // That one has no flows.
  auto spare = flows == nullptr ? takeSpareXdp() : nullptr;
  if (!spare) return std::make_unique<XdpProgram>(front_mac, flows);
  spare->setFrontMac(front_mac);
  return spare;
}

// XDP_TX is what every driver has, and sends by the queue that a frame came in by. A redirect needs a queue of the CPU's number, which drivers have not on
// machines with many CPUs; but out of a veth XDP_TX arrives only where the other end runs a program of its own, and a redirect where it polls. And for a bond the
// kernel makes a redirect of XDP_TX, to a NIC that it chooses: rather to the one that the frame came in by.
bool mustRedirect(const std::string& nic) {
  const std::string driver = Ethtool(nic).driver();
  return driver == "veth" || driver == "bonding";
}

}  // namespace

XdpPort::XdpPort(const PortOptions& options) : XdpPort(options, attachedXdp(interfaceIndex(options.nic))) {}

XdpPort::XdpPort(const PortOptions& options, std::optional<AttachedXdp> before)
    : nic_index_(interfaceIndex(options.nic)),
      shared_counters_(options.counters),
      own_words_(RF_COUNTER_COUNT),
      counters_(own_words_.data()),
      flows_(options.flows),
      program_(programFor(options, before)),
      speaker_(options.front_mac),
      nic_out_(options.nic),
      wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  program_->setRedirects(mustRedirect(options.nic));
  is_generic_ = attachXdp(nic_index_, *program_, before);
  thread_ = std::thread([this] { run(); });
}

XdpPort::~XdpPort() { stop(); }

void XdpPort::stop() {
  stop_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
}

void XdpPort::remove() {
  stop();
  detachXdp(nic_index_);
}

bool XdpPort::attachAgain() {
  const auto found = attachedXdp(nic_index_);
  if (found && found->is_ours) return false;
  is_generic_ = attachXdp(nic_index_, *program_, found);
  return true;
}

void XdpPort::wake() const {
  const uint64_t one = 1;
  (void)!::write(wakeup_.get(), &one, sizeof one);
}

void XdpPort::setTables(std::shared_ptr<const SteeringTable> tables) {
  if (flows_) flows_->become(tables);
  program_->setTables(*tables);
}

bool XdpPort::setVips(VipSet vips) {
  program_->setVips(vips);
  speaker_.setVips(std::move(vips));
  const bool confirmed = program_->waitForAnswers(kBarrierPatience_ns) && speaker_.waitForTurnEnd(kBarrierPatience_ns);
  wake();
  return confirmed;
}

bool XdpPort::setLease(uint64_t until_ns) {
  const bool is_shorter = until_ns < leaseUntil_ns();
  program_->setLease(until_ns);
  if (speaker_.setLease(until_ns)) wake();
  return !is_shorter || (program_->waitForAnswers(kBarrierPatience_ns) && speaker_.waitForTurnEnd(kBarrierPatience_ns));
}

void XdpPort::announceAgain() {
  speaker_.again();
  wake();
}

void XdpPort::collectCounters() {
  const std::vector<uint64_t> of_program = program_->counters();
  for (std::size_t i = 0; i < of_program.size(); i++) {
    const uint64_t own = counters_.read(static_cast<int>(i));
    std::atomic_ref<uint64_t>(shared_counters_[i]).store(of_program[i] + own, std::memory_order_relaxed);
  }
}

void XdpPort::run() {
  becomePortThread();
  while (!stop_.load(std::memory_order_relaxed)) {
    const uint64_t now_ns = monotonicNow_ns();
    speaker_.announceDue(now_ns, [this](const Announcement& announcement) { announce(announcement); });
    // Before time is up for those whose first one was seen while this thread was put aside.
    retryParked(now_ns);
    if (flow_park_.nextExpiry_ns() && now_ns >= next_retry_ns_) retryFlows(now_ns);
    counters_.add(RF_COUNT_drop_fragment_orphan, park_.expire(now_ns));
    counters_.add(RF_COUNT_drop_flow_unknown, flow_park_.expire(now_ns));
    program_->takeEvents({.on_conflict = [this] { speaker_.againNow(monotonicNow_ns()); },
                          .on_punt = [this](std::span<const uint8_t> frame) { onPunt(frame); },
                          .on_told = [this](const rf_told_event& event) { onTold(event); }});
    std::array<pollfd, 2> waits = {{{wakeup_.get(), POLLIN, 0}, {program_->eventsFd(), POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), pollTimeout_ms(now_ns));
    uint64_t count = 0;
    if (waits[0].revents != 0) (void)!::read(wakeup_.get(), &count, sizeof count);
  }
}

int XdpPort::pollTimeout_ms(uint64_t now_ns) const {
  if (park_.nextExpiry_ns() || flow_park_.nextExpiry_ns()) return kParkPoll_ms;
  return sleepUntilDue_ms(speaker_.nextDue_ns(), now_ns);
}

void XdpPort::announce(const Announcement& announcement) {
  const auto frame = announcement.bytes();
  if (!nic_out_.send(frame)) return counters_.add(RF_COUNT_drop_tx_full);
  counters_.add(RF_COUNT_tx_frames);
  counters_.add(RF_COUNT_tx_bytes, frame.size());
  counters_.add(announcement.counter());
}

void XdpPort::onTold(const rf_told_event& event) {
  if (flows_) flows_->tell(event.peer, {event.key, event.assignment});
}

// A later fragment before its first one, or a packet of a flow that others may know.
void XdpPort::onPunt(std::span<const uint8_t> frame) {
  rf_ethernet eth;
  rf_flow flow;
  const rf_bytes bytes = rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size()));
  if (rf_parse_ethernet(bytes, &eth) != 0 || rf_parse_flow(eth.ethertype, &bytes, eth.payload, &flow) != 0) return counters_.add(RF_COUNT_drop_flow_unknown);
  if (flow.fragment == RF_FRAGMENT_LATER) {
    if (!park_.put(flow.fragment_key, frame, monotonicNow_ns())) counters_.add(RF_COUNT_drop_fragment_orphan);
    return;
  }
  if (!flows_ || !flows_->ask(flow.key) || !flow_park_.put(flow.key, frame, monotonicNow_ns())) counters_.add(RF_COUNT_drop_flow_unknown);
}

// Once the first one was seen, the program knows what to do with the later ones.
void XdpPort::retryParked(uint64_t now_ns) {
  for (const rf_fragment_key& key : park_.keys()) {
    const uint16_t node = program_->fragmentNode(key, now_ns);
    if (node == 0) continue;
    for (const auto& frame : park_.take(key)) {
      if (node != program_->self()) relay(frame);
      else if (!program_->receive(frame, nic_index_)) counters_.add(RF_COUNT_drop_fragment_orphan);
    }
  }
}

// Once the others have said what they know of their flow.
void XdpPort::retryFlows(uint64_t now_ns) {
  next_retry_ns_ = now_ns + kRetry_ns;
  for (const rf_flow_key& key : flow_park_.keys()) {
    if (!flows_->isSettled(key)) continue;
    for (const auto& frame : flow_park_.take(key)) {
      const auto [fate, out] = program_->steer(frame);
      if (fate == XdpProgram::Fate::relayed && !nic_out_.send(out)) counters_.add(RF_COUNT_drop_tx_full);
      if (fate == XdpProgram::Fate::passed && !program_->receive(frame, nic_index_)) counters_.add(RF_COUNT_drop_flow_unknown);
    }
  }
}

// By a socket: what the kernel receives for user space it can only redirect, which not every driver takes.
void XdpPort::relay(std::span<const uint8_t> frame) {
  const auto [fate, out] = program_->steer(frame);
  if (fate != XdpProgram::Fate::relayed) return counters_.add(RF_COUNT_drop_fragment_orphan);
  if (!nic_out_.send(out)) counters_.add(RF_COUNT_drop_tx_full);
}

}  // namespace rainfront
