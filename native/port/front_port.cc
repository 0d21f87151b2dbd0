#include "front_port.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>

#include "../flows/flow_exchange.h"
#include "../steer/offload.h"
#include "clock.h"
#include "frame_filters.h"
#include "port_thread.h"

namespace rainfront {

namespace {

constexpr int kNeighborBatch = 64;
// Under load the kernel's drop counts are fetched every so many turns: each fetch is a system call.
constexpr uint64_t kTurnsBetweenCounts = 256;
// Answers of other nodes come by the control plane, which wakes nobody.
constexpr int kParkPoll_ms = 1;
constexpr uint64_t kRetry_ns = 1'000'000;

rf_bytes bytesOf(std::span<const uint8_t> frame) { return rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size())); }

rf_hash_key randomKey() {
  rf_hash_key key;
  if (::getrandom(&key, sizeof key, 0) != sizeof key) throw PortError("RF_PORT_RING", "no random numbers", errno);
  return key;
}

}  // namespace

FrontPort::FrontPort(const PortOptions& options) try
    : front_mac_(options.front_mac),
      flows_(options.flows),
      flow_map_(options.flows ? dynamic_cast<FlowMap*>(&options.flows->store()) : nullptr),
      counters_(options.counters),
      guard_(options.front_mac),
      speaker_(options.front_mac),
      neighbors_(options.nic, options.front_mac),
      nic_in_({options.nic, packetFilter(options.front_mac), true}),
      kernel_in_({.interface = options.outer, .filter = {}, .blocks = 16}),
      nic_out_(options.nic),
      kernel_out_(options.outer),
      wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      fragments_(randomKey()) {
  tables_ = std::make_shared<const SteeringTable>();
  thread_ = std::thread([this] { run(); });
} catch (const std::bad_alloc&) {
  throw PortError("RF_PORT_RING", "no memory for the packet rings", ENOMEM);
}

FrontPort::~FrontPort() {
  stop_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
}

void FrontPort::wake() const {
  const uint64_t one = 1;
  (void)!::write(wakeup_.get(), &one, sizeof one);
}

void FrontPort::setTables(std::shared_ptr<const SteeringTable> tables) {
  if (flows_) flows_->become(tables);
  tables_.store(std::move(tables), std::memory_order_release);
}

bool FrontPort::setVips(VipSet vips) {
  speaker_.setVips(std::move(vips));
  const bool confirmed = speaker_.waitForTurnEnd(kBarrierPatience_ns);
  wake();
  return confirmed;
}

bool FrontPort::setLease(uint64_t until_ns) {
  const bool is_shorter = until_ns < speaker_.leaseUntil_ns().load();
  if (speaker_.setLease(until_ns)) wake();
  return !is_shorter || speaker_.waitForTurnEnd(kBarrierPatience_ns);
}

void FrontPort::announceAgain() {
  speaker_.again();
  wake();
}

void FrontPort::run() {
  becomePortThread();
  for (uint64_t turn = 0; !stop_.load(std::memory_order_relaxed); turn++) {
    batch_tables_ = tables_.load(std::memory_order_acquire);
    batch_vips_ = speaker_.vips();
    batch_now_ns_ = monotonicNow_ns();
    speaker_.announceDue(batch_now_ns_, [this](const Announcement& announcement) {
      if (sendNeighbor(announcement.bytes())) counters_.add(announcement.counter());
    });
    counters_.add(RF_COUNT_drop_fragment_orphan, park_.expire(batch_now_ns_));
    if (flows_) retryParked();
    bool busy = serveNeighbors();
    busy = serveNic() || busy;
    busy = serveKernel() || busy;
    counters_.add(RF_COUNT_drop_tx_full, kernel_out_.flush() + nic_out_.flush());
    if (busy && turn % kTurnsBetweenCounts != 0) continue;
    countDropped();
    if (busy) continue;

    std::array<pollfd, 4> waits = {
        {{wakeup_.get(), POLLIN, 0}, {neighbors_.fd(), POLLIN, 0}, {nic_in_.fd(), POLLIN, 0}, {kernel_in_.fd(), POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), pollTimeout_ms(batch_now_ns_));
    if (waits[0].revents != 0) drainWakeups();
    for (const pollfd& wait : waits) {
      if ((wait.revents & POLLERR) != 0) clearErrors(wait.fd);
    }
  }
}

// A link that goes down leaves an error on the socket, for which poll would return at once for ever.
void FrontPort::clearErrors(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  (void)::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  counters_.add(RF_COUNT_link_errors);
}

void FrontPort::countDropped() {
  counters_.add(RF_COUNT_drop_ring_full, neighbors_.takeDropped() + nic_in_.takeDropped() + kernel_in_.takeDropped());
}

void FrontPort::drainWakeups() {
  uint64_t count = 0;
  (void)!::read(wakeup_.get(), &count, sizeof count);
}

int FrontPort::pollTimeout_ms(uint64_t now_ns) const {
  if (flow_park_.nextExpiry_ns()) return kParkPoll_ms;
  if (park_.nextExpiry_ns()) return static_cast<int>(FragmentPark::kPatience_ns / 1'000'000);
  return sleepUntilDue_ms(speaker_.nextDue_ns(), now_ns);
}

bool FrontPort::serveNeighbors() {
  for (int i = 0; i < kNeighborBatch; i++) {
    const auto frame = neighbors_.receive();
    if (!frame) return i > 0;
    fromNeighbor(*frame);
  }
  return true;
}

bool FrontPort::serveNic() {
  return nic_in_.receive([this](const ReceivedFrame& frame) { fromNic(frame); });
}

bool FrontPort::serveKernel() {
  return kernel_in_.receive([this](const ReceivedFrame& frame) { fromKernel(frame); });
}

void FrontPort::countPut(TransmitRing::Put put, std::size_t bytes, int frames_counter, int bytes_counter) {
  switch (put) {
    case TransmitRing::Put::ok:
      counters_.add(frames_counter);
      if (bytes_counter >= 0) counters_.add(bytes_counter, bytes);
      return;
    case TransmitRing::Put::full:
      counters_.add(RF_COUNT_drop_tx_full);
      return;
    case TransmitRing::Put::oversize:
      counters_.add(RF_COUNT_drop_oversize);
      return;
  }
}

bool FrontPort::sendNeighbor(std::span<const uint8_t> frame) {
  if (!neighbors_.send(frame)) {
    counters_.add(RF_COUNT_drop_tx_full);
    return false;
  }
  counters_.add(RF_COUNT_tx_frames);
  counters_.add(RF_COUNT_tx_bytes, frame.size());
  return true;
}

rf_tables FrontPort::tablesWith(const VipSet& vips) { return {batch_tables_.get(), &vips, &fragments_, &speaker_.leaseUntil_ns(), flow_map_}; }

void FrontPort::fromNeighbor(std::span<const uint8_t> frame) {
  rf_work work;
  const rf_verdict verdict = answer(frame, work);
  if (verdict.kind == RF_VERDICT_LEAVE) return;
  countReceived(frame);
  if (verdict.conflict) speaker_.againNow(batch_now_ns_);
  if (verdict.cause != 0) counters_.add(verdict.cause);
  if (verdict.kind == RF_VERDICT_PASS) countPut(kernel_out_.put(frame), frame.size(), RF_COUNT_pass_frames, -1);
}

// VIPs, lease and clock are looked at for every frame: a thread that was stopped inside a batch must not answer by the batch's state.
rf_verdict FrontPort::answer(std::span<const uint8_t> frame, rf_work& work) {
  const Speaker::Turn turn(speaker_);
  const auto vips = speaker_.vips();
  const rf_tables tables = tablesWith(*vips);
  const rf_bytes bytes = bytesOf(frame);
  const rf_verdict verdict = rf_steer(&bytes, bytes, front_mac_.data(), &tables, monotonicNow_ns(), &work);
  if (verdict.kind == RF_VERDICT_REPLY) (void)sendNeighbor({work.reply.frame, work.reply.len});
  return verdict;
}

void FrontPort::fromNic(const ReceivedFrame& received) {
  if (received.truncated) {
    countReceived(received.bytes);
    return counters_.add(RF_COUNT_drop_oversize);
  }
  steer(received, Look::first);
}

void FrontPort::countReceived(std::span<const uint8_t> frame) {
  counters_.add(RF_COUNT_rx_frames);
  counters_.add(RF_COUNT_rx_bytes, frame.size());
}

void FrontPort::steer(const ReceivedFrame& received, Look look) {
  const std::span<uint8_t> frame = received.bytes;
  rf_work work;
  const rf_tables tables = tablesWith(*batch_vips_);
  const rf_bytes bytes = bytesOf(frame);
  const rf_verdict verdict = rf_steer(&bytes, bytes, front_mac_.data(), &tables, batch_now_ns_, &work);
  if (verdict.kind == RF_VERDICT_LEAVE) return;
  if (look == Look::first) countReceived(frame);
  if (verdict.from_peer && look == Look::first) counters_.add(RF_COUNT_relay_in_frames);
  if (verdict.cause != 0) counters_.add(verdict.cause);
  if (verdict.kind == RF_VERDICT_PUNT) keepWaiting(work, verdict, frame, look);
  if (verdict.kind != RF_VERDICT_PASS && verdict.kind != RF_VERDICT_RELAY) return;
  if (verdict.told != 0) flows_->tell(verdict.told, {work.flow.key, rf_told(&verdict, &tables)});
  completeChecksum(received);
  forward(frame, verdict);
  if (work.flow.fragment != RF_FRAGMENT_FIRST) return;
  for (auto& parked : park_.take(work.flow.fragment_key)) steer({parked, false, false}, Look::again);
}

void FrontPort::keepWaiting(const rf_work& work, const rf_verdict& verdict, std::span<const uint8_t> frame, Look look) {
  if (verdict.cause == RF_COUNT_punt_fragment) {
    if (!park_.put(work.flow.fragment_key, frame, batch_now_ns_)) counters_.add(RF_COUNT_drop_fragment_orphan);
    return;
  }
  if (look == Look::again || !flows_->ask(work.flow.key) || !flow_park_.put(work.flow.key, frame, batch_now_ns_)) counters_.add(RF_COUNT_drop_flow_unknown);
}

// Frames whose flows others were asked for. A flood must not make it all that this thread does.
void FrontPort::retryParked() {
  if (!flow_park_.nextExpiry_ns() || batch_now_ns_ < next_retry_ns_) return;
  next_retry_ns_ = batch_now_ns_ + kRetry_ns;
  for (const rf_flow_key& key : flow_park_.keys()) {
    if (!flows_->isSettled(key)) continue;
    for (auto& parked : flow_park_.take(key)) steer({parked, false, false}, Look::again);
  }
  counters_.add(RF_COUNT_drop_flow_unknown, flow_park_.expire(batch_now_ns_));
}

void FrontPort::forward(std::span<uint8_t> frame, const rf_verdict& verdict) {
  if (verdict.kind == RF_VERDICT_PASS) return countPut(kernel_out_.put(frame), frame.size(), RF_COUNT_pass_frames, -1);
  rf_relay_rewrite(frame.data(), front_mac_.data(), verdict.node, verdict.relay);
  const auto put = nic_out_.put(frame);
  countPut(put, frame.size(), RF_COUNT_tx_frames, RF_COUNT_tx_bytes);
  if (put == TransmitRing::Put::ok) counters_.add(RF_COUNT_relay_out_frames);
}

// Of a frame with an IP packet.
void FrontPort::completeChecksum(const ReceivedFrame& received) {
  if (!received.checksum_open) return;
  rf_ethernet eth;
  if (rf_parse_ethernet(bytesOf(received.bytes), &eth) != 0) return;
  const auto packet = received.bytes.subspan(eth.header_len);
  if (rf_complete_checksum(eth.ethertype, packet.data(), static_cast<uint32_t>(packet.size()))) counters_.add(RF_COUNT_checksum_completed);
}

void FrontPort::fromKernel(const ReceivedFrame& received) {
  if (received.truncated) return counters_.add(RF_COUNT_drop_kernel_out);
  const std::span<uint8_t> frame = received.bytes;
  switch (guard_.judge(frame, *batch_vips_, counters_)) {
    case KernelGuard::Verdict::stays:
      return;
    case KernelGuard::Verdict::question:
      if (sendNeighbor(frame)) counters_.add(RF_COUNT_kernel_out_frames);
      return;
    case KernelGuard::Verdict::packet:
      completeChecksum(received);
      const auto put = nic_out_.put(frame);
      countPut(put, frame.size(), RF_COUNT_tx_frames, RF_COUNT_tx_bytes);
      if (put == TransmitRing::Put::ok) counters_.add(RF_COUNT_kernel_out_frames);
  }
}

}  // namespace rainfront
