// This node's part in connections that outlive their gateway: tells who would take a flow over what the firewall here knows of it, keeps what others told, and gives it to
// the firewall here when their flows become this node's. A thread of its own talks to the firewall; the control plane carries the records between nodes.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "../flows/flow_exchange.h"
#include "../port/inheriting_mutex.h"
#include "conntrack_socket.h"
#include "replicas.h"
#include "successors.h"

namespace rainfront {

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
    uint64_t nobodys = 0;       // flows that nobody was found to handle, and of which there was a copy here
    uint64_t nobodys_full = 0;  // and those that were too many to look for copies of
    uint64_t moved = 0;     // connections that others have taken from this node, which drains
    uint64_t unmoved = 0;   // and that they have not yet, as of the last look
    uint64_t moves_looked = 0;  // how often it was looked for them since the drain began
    uint64_t waiting = 0;   // changes that are still to be told
    uint64_t replicas = 0;  // entries of others at hand
  };

  struct Limits {
    std::size_t waiting_max = 262'144;
    std::size_t replicas_max = 1'048'576;
  };

  // `flows`: where flows are assigned; without it the hash decides who handles them. `on_waiting` is called by the share's thread when there is something to take after there
  // was nothing. Throws PortError: RF_NO_PRIVILEGE, RF_CONNTRACK.
  ConntrackShare(const Limits& limits, std::shared_ptr<FlowExchange> flows, std::function<void()> on_waiting);
  ~ConntrackShare();
  ConntrackShare(const ConntrackShare&) = delete;
  ConntrackShare& operator=(const ConntrackShare&) = delete;

  // From now on. The thread gives the firewall what has become this node's, and tells all that the firewall has anew: to who would take it over, and of flows that
  // were this node's and are another's now, to that one.
  void become(std::shared_ptr<const Successors> successors);

  // Others take this node's connections, all that there are and that begin, until it is no more so. Where the hash decides they do so by themselves.
  void drain(bool is_draining);

  // Why a record is told.
  enum class Purpose : uint8_t {
    copy = 0,   // for when its node is gone
    move = 1,   // the receiver handles it from now on, and says so,
    taken = 2,  // by this
  };

  struct Delivery {
    uint16_t node;
    Purpose purpose;
    std::vector<uint8_t> records;
  };
  // At most `bytes_max` for each node and purpose.
  std::vector<Delivery> take(std::size_t bytes_max);

  // What another node's `take` gave. What is of this node's flows is given to the firewall soon, the rest is kept.
  void receive(uint16_t from, Purpose purpose, std::span<const uint8_t> records);

  // What is kept of another node's connection, by the key of its first packets.
  std::optional<Replicas::Replica> replicaOf(const rf_flow_key& original) const;

  Figures figures() const;

 private:
  // Which way the firewall tells: as it happens, or because it is asked for all there is.
  enum class Telling { event, dump };

  // What another node handled and this one takes over: `mover` is told so, where that is not 0.
  struct Arrived {
    ConntrackEntry entry;
    uint16_t mover;
  };

  void run();
  void serve();
  void wantNobodys(std::span<const rf_flow_key> flows);
  void takeNobodys();
  bool isGoneSince(uint16_t handler, uint32_t told_epoch) const;
  void takeOver();
  void takeInto(std::span<const Arrived> arrived);
  bool isAnothersByNow(const ConntrackEntry& entry) const;
  bool becomesOurs(const ConntrackEntry& entry) const;
  void tellAll();
  void moveAll();
  void forgetMoved();
  void tell(const ConntrackMessage& message, Telling telling);
  bool keepForOther(const ConntrackMessage& message, Telling telling);
  bool wasOurs(const ConntrackEntry& entry) const;
  bool hasNewAuthority(const rf_flow_key& flow) const;
  bool goesNow(const ConntrackEntry& entry) const;
  uint16_t whoIsTold(const ConntrackEntry& entry, Telling telling);
  // `told_epoch`: of the view in which its handler told it; that one may have begun anew since.
  bool isToTakeOver(const ConntrackEntry& entry, uint16_t handler, uint32_t told_epoch) const;
  bool putMove(const ConntrackMessage& message);
  void give(uint16_t to, std::span<const uint8_t> records);
  std::size_t waiting() const;
  int pollTimeout_ms() const;
  void wake() const;

  template <typename F>
  void attempt(F&& step);

  ConntrackEvents events_;
  const Limits limits_;
  const std::shared_ptr<FlowExchange> flows_;
  const std::function<void()> on_waiting_;
  Fd wakeup_;

  // All nodes have said that they do not handle them; how many more there were. Of threads that are not to wait for the rest.
  InheritingMutex nobodys_lock_;
  std::vector<rf_flow_key> nobodys_;
  uint64_t nobodys_full_ = 0;

  mutable std::mutex lock_;
  std::shared_ptr<const Successors> successors_;
  // Of the view before, where another one had other members or another table.
  std::shared_ptr<const Successors> previous_;
  // Of nodes that are gone, of the last view that they were in.
  std::map<uint16_t, std::shared_ptr<const Successors>> last_with_;
  // In force since all were told last, and then: of their flows this node's firewall may know more than whose they are now.
  std::vector<std::shared_ptr<const Successors>> since_told_;
  // This node's now, and not the firewall's yet.
  std::vector<Arrived> arrived_;
  // Others have taken them.
  std::vector<ConntrackEntry> moved_;
  bool has_become_ = false;
  bool is_draining_ = false;
  Outbox copies_, moves_, taken_;
  Replicas replicas_;
  Figures figures_;

  // The thread's alone.
  std::vector<std::shared_ptr<const Successors>> before_;
  std::vector<ConntrackEntry> given_away_;
  std::vector<ConntrackMessage> handshakes_;
  static constexpr uint64_t kNever_ns = ~uint64_t{0};
  uint64_t tell_all_ns_ = kNever_ns;  // before the first view
  uint64_t move_all_ns_ = kNever_ns;
  uint64_t retry_ns_ = 0;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace rainfront
