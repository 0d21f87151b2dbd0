#include "front_port.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <array>

#include "../steer/offload.h"

namespace rainfront {

namespace {

constexpr uint64_t kBarrierPatience_ns = 20'000'000;
constexpr timespec kBarrierPoll = {0, 50'000};
// Below the ring's thread, whose token must not be late, and above ordinary work: this is the machine's packet path.
constexpr int kThreadNice = -10;
constexpr int kIdle_ms_max = 1000;
constexpr int kArpBatch = 64;
// Under load the kernel's drop counts are fetched every so many turns: each fetch is a system call.
constexpr uint64_t kTurnsBetweenCounts = 256;

// Frames to the front MAC but ARP, which has a socket of its own. The NIC's own traffic belongs to the kernel alone.
std::array<sock_filter, 8> nicFilter(const Mac& mac) {
  const uint32_t mac_high = rf_load32(mac.data());
  const uint32_t mac_low = rf_load16(mac.data() + 4);
  return {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_high, 0, 5),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mac_low, 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RF_ETHERTYPE_ARP, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
}

rf_bytes bytesOf(std::span<const uint8_t> frame) { return rf_bytes_of(frame.data(), static_cast<uint32_t>(frame.size())); }

rf_hash_key randomKey() {
  rf_hash_key key;
  if (::getrandom(&key, sizeof key, 0) != sizeof key) throw PortError("RF_PORT_RING", "no random numbers", errno);
  return key;
}

}  // namespace

uint64_t monotonicNow_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ull + static_cast<uint64_t>(now.tv_nsec);
}

FrontPort::FrontPort(const FrontPortOptions& options) try
    : front_mac_(options.front_mac),
      counters_(options.counters),
      guard_(options.front_mac),
      announcer_(options.front_mac),
      arp_(options.nic),
      nic_in_({options.nic, nicFilter(options.front_mac), true}),
      kernel_in_({.interface = options.outer, .filter = {}, .blocks = 16}),
      nic_out_(options.nic),
      kernel_out_(options.outer),
      wakeup_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      fragments_(randomKey()) {
  tables_ = std::make_shared<const SteeringTable>();
  vips_ = std::make_shared<const VipSet>();
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
  tables_.store(std::move(tables), std::memory_order_release);
}

bool FrontPort::setVips(VipSet vips) {
  vips_.store(std::make_shared<const VipSet>(std::move(vips)), std::memory_order_seq_cst);
  const bool confirmed = waitForArpEnd();
  wake();
  return confirmed;
}

bool FrontPort::waitForArpEnd() const {
  const uint64_t seen = arp_turn_.load(std::memory_order_seq_cst);
  if (seen % 2 == 0) return true;
  const uint64_t patience_until_ns = monotonicNow_ns() + kBarrierPatience_ns;
  while (arp_turn_.load(std::memory_order_acquire) == seen) {
    if (monotonicNow_ns() > patience_until_ns) return false;
    // Sleep rather than yield: the caller may have a higher priority than the thread that it waits for, on the same CPU.
    ::nanosleep(&kBarrierPoll, nullptr);
  }
  return true;
}

void FrontPort::setLease(uint64_t until_ns) {
  lease_until_ns_.store(until_ns, std::memory_order_release);
  if (waiting_for_lease_.exchange(false)) wake();
}

void FrontPort::announceAgain() {
  announce_again_ = true;
  wake();
}

void FrontPort::run() {
  ::pthread_setname_np(::pthread_self(), "rf-port");
  // Of this thread alone; without the privilege it stays as it is.
  (void)::setpriority(PRIO_PROCESS, 0, kThreadNice);
  for (uint64_t turn = 0; !stop_.load(std::memory_order_relaxed); turn++) {
    batch_tables_ = tables_.load(std::memory_order_acquire);
    batch_now_ns_ = monotonicNow_ns();
    announceDue();
    counters_.add(RF_COUNT_drop_fragment_orphan, park_.expire(batch_now_ns_));
    bool busy = serveArp();
    busy = serveNic() || busy;
    busy = serveKernel() || busy;
    counters_.add(RF_COUNT_drop_tx_full, kernel_out_.flush() + nic_out_.flush());
    if (busy && turn % kTurnsBetweenCounts != 0) continue;
    countDropped();
    if (busy) continue;

    std::array<pollfd, 4> waits = {
        {{wakeup_.get(), POLLIN, 0}, {arp_.fd(), POLLIN, 0}, {nic_in_.fd(), POLLIN, 0}, {kernel_in_.fd(), POLLIN, 0}}};
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
  counters_.add(RF_COUNT_drop_ring_full, arp_.takeDropped() + nic_in_.takeDropped() + kernel_in_.takeDropped());
}

void FrontPort::drainWakeups() {
  uint64_t count = 0;
  (void)!::read(wakeup_.get(), &count, sizeof count);
}

int FrontPort::pollTimeout_ms(uint64_t now_ns) const {
  const auto due_ns = announcer_.nextDue_ns();
  if (park_.nextExpiry_ns()) return static_cast<int>(FragmentPark::kPatience_ns / 1'000'000);
  if (!due_ns) return kIdle_ms_max;
  // With the lease void, setLease wakes the thread; there is nothing to be early for.
  if (waiting_for_lease_.load()) return kIdle_ms_max;
  if (*due_ns <= now_ns) return 1;
  return static_cast<int>(std::min<uint64_t>((*due_ns - now_ns) / 1'000'000 + 1, kIdle_ms_max));
}

void FrontPort::announceDue() {
  const auto vips = vips_.load(std::memory_order_seq_cst);
  if (announced_vips_ != vips) {
    announcer_.update(*vips);
    announced_vips_ = vips;
  }
  if (announce_again_.exchange(false)) announcer_.again(batch_now_ns_);
  const auto next_ns = announcer_.nextDue_ns();
  if (!next_ns || *next_ns > batch_now_ns_) return;
  waiting_for_lease_ = true;  // before the lease is read: setLease either is seen here or sees this
  const uint64_t lease_until_ns = lease_until_ns_.load(std::memory_order_seq_cst);
  if (batch_now_ns_ < lease_until_ns) waiting_for_lease_ = false;
  for (const ArpFrame& frame : announcer_.due(lease_until_ns, batch_now_ns_)) announce(frame);
}

// One announcement, if it is still true: VIPs, lease and clock are looked at again for each.
void FrontPort::announce(const ArpFrame& frame) {
  arp_turn_.fetch_add(1, std::memory_order_seq_cst);
  const auto vips = vips_.load(std::memory_order_seq_cst);
  const Vip* vip = vips->find(ipv4Address(rf_load32(frame.data() + kArpSenderIpOffset)));
  if (vip != nullptr && vip->state.owned && monotonicNow_ns() < lease_until_ns_.load(std::memory_order_seq_cst)) {
    sendArp(frame);
    counters_.add(RF_COUNT_arp_announced);
  }
  arp_turn_.fetch_add(1, std::memory_order_seq_cst);
}

bool FrontPort::serveArp() {
  for (int i = 0; i < kArpBatch; i++) {
    const auto frame = arp_.receive();
    if (!frame) return i > 0;
    counters_.add(RF_COUNT_rx_frames);
    counters_.add(RF_COUNT_rx_bytes, frame->bytes.size());
    if (frame->tagged) {
      counters_.add(RF_COUNT_drop_vlan);
    } else {
      arpFromNic(frame->bytes);
    }
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

void FrontPort::sendArp(std::span<const uint8_t> frame) {
  if (!arp_.send(frame)) return counters_.add(RF_COUNT_drop_tx_full);
  counters_.add(RF_COUNT_tx_frames);
  counters_.add(RF_COUNT_tx_bytes, frame.size());
}

rf_tables FrontPort::tablesWith(const VipSet& vips) { return {batch_tables_.get(), &vips, &fragments_, &lease_until_ns_}; }

void FrontPort::arpFromNic(std::span<const uint8_t> frame) {
  // VIPs, lease and clock are looked at for every frame: a thread that was stopped inside a batch must not answer by the batch's state.
  arp_turn_.fetch_add(1, std::memory_order_seq_cst);
  const auto vips = vips_.load(std::memory_order_seq_cst);
  const rf_tables tables = tablesWith(*vips);
  const rf_bytes bytes = bytesOf(frame);
  rf_work work;
  const rf_verdict verdict = rf_steer(&bytes, bytes, front_mac_.data(), &tables, monotonicNow_ns(), &work);
  if (verdict.kind == RF_VERDICT_REPLY) sendArp({work.reply.frame, work.reply.len});
  arp_turn_.fetch_add(1, std::memory_order_seq_cst);
  if (verdict.conflict) announcer_.again(batch_now_ns_);
  if (verdict.cause != 0) counters_.add(verdict.cause);
  if (verdict.kind == RF_VERDICT_PASS) countPut(kernel_out_.put(frame), frame.size(), RF_COUNT_pass_frames, -1);
}

void FrontPort::fromNic(const ReceivedFrame& received) {
  const std::span<uint8_t> frame = received.bytes;
  counters_.add(RF_COUNT_rx_frames);
  counters_.add(RF_COUNT_rx_bytes, frame.size());
  if (received.tagged) return counters_.add(RF_COUNT_drop_vlan);
  if (received.truncated) return counters_.add(RF_COUNT_drop_oversize);
  // Nobody is told of the front MAC by IPv6, and what the kernel would answer does not leave: a way in that no firewall rule expects.
  if (frame.size() >= RF_ETH_HEADER_LEN && rf_load16(frame.data() + 2 * RF_MAC_LEN) == RF_ETHERTYPE_IPV6) return counters_.add(RF_COUNT_drop_ipv6);
  steer(received);
}

void FrontPort::steer(const ReceivedFrame& received) {
  const std::span<uint8_t> frame = received.bytes;
  rf_work work;
  const rf_tables tables = tablesWith(*announced_vips_);
  const rf_bytes bytes = bytesOf(frame);
  const rf_verdict verdict = rf_steer(&bytes, bytes, front_mac_.data(), &tables, batch_now_ns_, &work);
  if (verdict.from_peer) counters_.add(RF_COUNT_relay_in_frames);
  if (verdict.cause != 0) counters_.add(verdict.cause);
  if (verdict.kind == RF_VERDICT_PUNT && !park_.put(work.flow.fragment_key, frame, batch_now_ns_)) counters_.add(RF_COUNT_drop_fragment_orphan);
  if (verdict.kind != RF_VERDICT_PASS && verdict.kind != RF_VERDICT_RELAY) return;
  completeChecksum(received);
  forward(frame, verdict);
  if (work.flow.fragment != RF_FRAGMENT_FIRST) return;
  for (auto& parked : park_.take(work.flow.fragment_key)) steer({parked, false, false, false});
}

void FrontPort::forward(std::span<uint8_t> frame, const rf_verdict& verdict) {
  if (verdict.kind == RF_VERDICT_PASS) return countPut(kernel_out_.put(frame), frame.size(), RF_COUNT_pass_frames, -1);
  rf_relay_rewrite(frame.data(), front_mac_.data(), verdict.node);
  const auto put = nic_out_.put(frame);
  countPut(put, frame.size(), RF_COUNT_tx_frames, RF_COUNT_tx_bytes);
  if (put == TransmitRing::Put::ok) counters_.add(RF_COUNT_relay_out_frames);
}

// Of an untagged frame with an IP packet.
void FrontPort::completeChecksum(const ReceivedFrame& received) {
  if (!received.checksum_open) return;
  const uint16_t ethertype = rf_load16(received.bytes.data() + 2 * RF_MAC_LEN);
  const auto packet = received.bytes.subspan(RF_ETH_HEADER_LEN);
  if (rf_complete_checksum(ethertype, packet.data(), static_cast<uint32_t>(packet.size()))) counters_.add(RF_COUNT_checksum_completed);
}

void FrontPort::fromKernel(const ReceivedFrame& received) {
  const std::span<uint8_t> frame = received.bytes;
  if (received.truncated || frame.size() < RF_ETH_HEADER_LEN) return counters_.add(RF_COUNT_drop_kernel_out);
  const uint16_t ethertype = rf_load16(frame.data() + 12);
  if (ethertype == RF_ETHERTYPE_ARP) {
    if (const auto instead = guard_.arp(frame, *vips_.load(std::memory_order_acquire), counters_)) sendArp(*instead);
    return;
  }
  if (ethertype != RF_ETHERTYPE_IPV4) return counters_.add(RF_COUNT_drop_kernel_out);
  completeChecksum(received);
  const auto put = nic_out_.put(frame);
  countPut(put, frame.size(), RF_COUNT_tx_frames, RF_COUNT_tx_bytes);
  if (put == TransmitRing::Put::ok) counters_.add(RF_COUNT_kernel_out_frames);
}

}  // namespace rainfront
