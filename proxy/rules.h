/* Services as nftables rules: pure text, no kernel.
 *
 * The table has a constant frame (rules_frame) and, for each Service, a list of named things that
 * hang into it: chains, sets and elements of the frame's maps. What the frame does:
 *
 *     prerouting, output (nat)    address -> services -> a Service's chain -> dnat to an endpoint
 *     postrouting (nat)           who must be masqueraded so that answers come back through us
 *     input, forward, output      what is still addressed to a Service has no endpoint: reject
 *     loopback-guard              keeps the neighbours out of 127.0.0.0/8, which route_localnet opens
 *
 * A Service is elements of the frame's maps and no chain of its own: the kernel finds it in the same time
 * among ten thousand, and so does libnftables, which reads all chains and sets before every
 * transaction. `services` and `nodeports` say which chain is to pick; chains are shared by all
 * Services with as many endpoints:
 *
 *     lb/tcp/3            looks up endpoint 0, 1 or 2 of the address in `tcp-endpoints`, by chance
 *     ext/tcp/3           the same for who comes from outside
 *     ext-local/tcp/3/1   the same with policy Local: three endpoints, one on this node, number 3 of the list
 *     node-...            for node ports: they have no address of their own to be looked up by
 *
 * Only what cannot be shared has chains with the Service's name: svc/NAMESPACE/NAME/PROTOCOL/PORT (and local/,
 * ext/, ep/.../IP/PORT, with the sets aff/...) where it has session affinity, from/... where a balancer has source ranges.
 */
#pragma once

#include "../lib/base/strbuf.h"
#include "service.h"

/* One bit of the packet mark says "masquerade"; kube-proxy's, so that rules written for it fit. */
#define RULES_MARK 0x4000u

struct rules_options {
        const char *table;
        const char *cluster_cidr; /* of pods */
        const char *service_cidr;
        const char *dns_ip; /* NULL: none */
        /* Packets between two pods of a bridge do not pass the host's hooks: answers would come from the
         * wrong address, so they are sent back through us by masquerading. */
        bool bridge_unfiltered;
};

enum rule_kind { RULE_SET, RULE_CHAIN, RULE_ELEMENT, RULE_LIST };

/* SET: name, declaration. CHAIN: name, rules with '\n' after each. ELEMENT: "map key", and the value or "".
 * LIST: "map key", values with '\n' after each: the elements "key . 0", "key . 1", and so on. */
struct rule {
        enum rule_kind kind;
        const char *name, *body;
};

struct rules {
        struct arena *arena;
        struct rule *items;
        size_t n, cap; /* items: malloc'd */
};
void rules_deinit(struct rules *r); /* the arena stays the caller's */

/* The declaration of the table with all that is the same whatever Services there are. */
void rules_frame(const struct rules_options *o, struct strbuf *out);
/* What S adds. The texts live in R's arena. */
void rules_service(const struct rules_options *o, const struct service *s, struct rules *r);

/* The endpoints that get traffic: those that are ready, or else those that still serve while they
 * terminate. ONLY_LOCAL: of this node. RET has room for all. */
size_t rules_usable(const struct service_port *p, bool only_local, const struct service_endpoint **ret);
