// This node's part in connections that outlive their gateway: tells who would take a flow over what the firewall here knows of it, keeps what others told, and gives it to
// the firewall here when their flows become this node's. A thread of its own talks to the firewall; the control plane carries the records between nodes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "../tables/steering_tables.h"
#include "conntrack_socket.h"
#include "replicas.h"

namespace rainfront {

// Who handles a flow now, and who would if this node were gone (0: nobody, or not known yet).
struct Successors {
  SteeringTable now;
  std::array<uint16_t, kMaglevSlots> without_self{};
};

class ConntrackShare {
 public:
  struct Figures {
    uint64_t told = 0;         // records given out
    uint64_t told_full = 0;    // changes that found no room to wait, and are told when all is told again
    uint64_t events_lost = 0;  // times that the kernel had no room for events; all entries are read again
    uint64_t failed = 0;       // times that the kernel did not tell its entries, or did not take some; both are tried again
    uint64_t kept = 0;         // records of others
    uint64_t kept_full = 0;    // of others, for which there was no room
    uint64_t malformed = 0;    // deliveries that were cut off or of an unknown kind
    uint64_t taken_over = 0;   // entries given to the firewall here
    uint64_t taken_over_refused = 0;
    uint64_t waiting = 0;   // changes that are still to be told
    uint64_t replicas = 0;  // entries of others at hand
  };

  struct Limits {
    std::size_t waiting_max = 262'144;
    std::size_t replicas_max = 1'048'576;
  };

  // `on_waiting` is called by the share's thread when there is something to take after there was nothing. Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK.
  ConntrackShare(const Limits& limits, std::function<void()> on_waiting);
  ~ConntrackShare();
  ConntrackShare(const ConntrackShare&) = delete;
  ConntrackShare& operator=(const ConntrackShare&) = delete;

  // From now on. The thread gives the firewall what has become this node's, and tells all that the firewall has anew: to who would take it over, and of flows that
  // were this node's and are another's now, to that one.
  void become(std::shared_ptr<const Successors> successors);

  struct Delivery {
    uint16_t node;
    std::vector<uint8_t> records;
  };
  // At most `bytes_max` for each node.
  std::vector<Delivery> take(std::size_t bytes_max);

  // What is of this node's flows is given to the firewall soon, the rest is kept.
  void receive(std::span<const uint8_t> records);

  Figures figures() const;

 private:
  // Which way the firewall tells: as it happens, or because it is asked for all there is.
  enum class Telling { event, dump };

  void run();
  void serve();
  void takeOver();
  void tellAll();
  void tell(const ConntrackMessage& message, Telling telling);
  bool keepForOther(const ConntrackMessage& message, Telling telling);
  uint16_t whoIsTold(const ConntrackEntry& entry, Telling telling);
  int pollTimeout_ms() const;
  void wake() const;

  ConntrackEvents events_;
  const std::function<void()> on_waiting_;
  Fd wakeup_;

  mutable std::mutex lock_;
  std::shared_ptr<const Successors> successors_;
  // In force since all were told last, and then: of their flows this node's firewall may know more than whose they are now.
  std::vector<std::shared_ptr<const Successors>> since_told_;
  // This node's now, and not the firewall's yet.
  std::vector<ConntrackEntry> arrived_;
  bool has_become_ = false;
  Outbox outbox_;
  Replicas replicas_;
  Figures figures_;

  // The thread's alone.
  std::vector<std::shared_ptr<const Successors>> before_;
  std::vector<ConntrackEntry> given_away_;
  static constexpr uint64_t kNever_ns = ~uint64_t{0};
  uint64_t tell_all_ns_ = kNever_ns;  // before the first view
  uint64_t retry_ns_ = 0;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace rainfront
