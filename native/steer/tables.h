/* What the pipeline asks of its tables. User space (native/tables) and BPF (native/xdp) each implement these. */
#ifndef RAINFRONT_STEER_TABLES_H
#define RAINFRONT_STEER_TABLES_H

#include "assignment.h"
#include "departed.h"
#include "flow.h"
#include "service.h"
#include "vip.h"

struct rf_tables;
RF_INLINE uint16_t rf_tables_self(const struct rf_tables *tables);
RF_INLINE int rf_tables_has_view(const struct rf_tables *tables);
RF_INLINE int rf_tables_is_member(const struct rf_tables *tables, uint16_t node);
/* The view's number, and the one of the view in which a member came in, which is greater than 0; 0 of all others. */
RF_INLINE uint32_t rf_tables_epoch(const struct rf_tables *tables);
RF_INLINE uint32_t rf_tables_member_since(const struct rf_tables *tables, uint16_t node);
/* Of a node that has left the view: when its lease has ended for certain (ns, the host's clock). 0 of all others. */
RF_INLINE uint64_t rf_tables_departed_until_ns(const struct rf_tables *tables, uint16_t node);
/* enum rf_policy. */
RF_INLINE unsigned rf_tables_policy(const struct rf_tables *tables);
/* rf_flow_hash under the cluster's secret, and the authoritative node of a flow of that hash, or 0 when there is no view. */
RF_INLINE uint64_t rf_tables_flow_hash(const struct rf_tables *tables, const struct rf_flow_key *key);
RF_INLINE uint16_t rf_tables_authority_of(const struct rf_tables *tables, uint64_t hash);
/* The node of whose part of a port range the flow is, or 0: see port_ranges.h. */
RF_INLINE uint16_t rf_tables_port_owner(const struct rf_tables *tables, const struct rf_flow_key *key);
/* The time by which answers are given, where flows are judged by a time that is a little old. */
RF_INLINE uint64_t rf_tables_exact_ns(const struct rf_tables *tables, uint64_t about_ns);
/* Until when (ns, the host's clock) this node may act on its view. */
RF_INLINE uint64_t rf_tables_lease_until_ns(const struct rf_tables *tables);
/* Whether the port has an IPv6 VIP. */
RF_INLINE int rf_tables_carries_ipv6(const struct rf_tables *tables);
/* What is known of a VIP now; 0 for what is none. `family` is an ethertype, `address` as in rf_flow_key. */
RF_INLINE int rf_tables_vip(const struct rf_tables *tables, uint16_t family, const uint64_t address[2], struct rf_vip *vip);
/* The node that the first fragment of this datagram went to, or 0. */
RF_INLINE uint16_t rf_tables_fragment(const struct rf_tables *tables, const struct rf_fragment_key *key, uint64_t now_ns);
RF_INLINE void rf_tables_remember_fragment(const struct rf_tables *tables, const struct rf_fragment_key *key, uint16_t node, uint64_t now_ns);

/* The following are asked for only where the policy assigns flows. */

/* Whether new flows may be given to a node: it is one of those that share them. */
RF_INLINE int rf_tables_is_ready(const struct rf_tables *tables, uint16_t node);
/* By weights, where they decide. */
RF_INLINE uint16_t rf_tables_choice(const struct rf_tables *tables, uint64_t hash);
/* enum rf_stickiness, and a hash of an address as in rf_flow_key, under the cluster's secret. */
RF_INLINE unsigned rf_tables_stickiness(const struct rf_tables *tables);
RF_INLINE uint64_t rf_tables_host_hash(const struct rf_tables *tables, const uint64_t address[2]);
/* Whether any service has a policy of its own, and which; 0: this one has not. */
RF_INLINE int rf_tables_has_services(const struct rf_tables *tables);
RF_INLINE int rf_tables_service(const struct rf_tables *tables, const struct rf_service_key *key, struct rf_service *service);
/* From when on (ns) an authority knows all flows but those that are new: until then it may have become theirs a moment ago. */
RF_INLINE uint64_t rf_tables_settled_ns(const struct rf_tables *tables);
/* What is known of a flow, and keeps it so: enum rf_flow_place. */
RF_INLINE int rf_tables_find_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, uint64_t now_ns, struct rf_found_flow *found);
/* Whatever is known there. */
RF_INLINE void rf_tables_put_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, const struct rf_assignment *a, int place, uint64_t now_ns);
/* Among those that open; if it is there already, `a` becomes what is there. */
RF_INLINE void rf_tables_admit_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, struct rf_assignment *a, uint64_t now_ns);
/* That is at this enum rf_flow_place; with what is established, what opened before it. */
RF_INLINE void rf_tables_forget_flow(const struct rf_tables *tables, const struct rf_flow_key *key, uint64_t hash, int place);

#endif
