/* What the pipeline asks of its tables. User space (native/tables) and BPF (native/xdp) each implement these. */
#ifndef RAINFRONT_STEER_TABLES_H
#define RAINFRONT_STEER_TABLES_H

#include "departed.h"
#include "flow.h"
#include "vip.h"

struct rf_tables;
RF_INLINE uint16_t rf_tables_self(const struct rf_tables *tables);
RF_INLINE int rf_tables_has_view(const struct rf_tables *tables);
RF_INLINE int rf_tables_is_member(const struct rf_tables *tables, uint16_t node);
/* Of a node that has left the view: when its lease has ended for certain (ns, the host's clock). 0 of all others. */
RF_INLINE uint64_t rf_tables_departed_until_ns(const struct rf_tables *tables, uint16_t node);
/* The flow's authoritative node, or 0 when there is no view. */
RF_INLINE uint16_t rf_tables_authority(const struct rf_tables *tables, const struct rf_flow_key *key);
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

#endif
