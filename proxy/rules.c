/* Renders the table's frame and each Service's part of it: see rules.h. */
#include "rules.h"

#include <stdio.h>

#define N_PROTOCOLS 3

void rules_deinit(struct rules *r)
{
        free(r->items);
        *r = (struct rules){ .arena = r->arena };
}

static void add(struct rules *r, enum rule_kind kind, const char *name, const char *body)
{
        array_reserve(r->items, r->cap, r->n + 1);
        r->items[r->n++] = (struct rule){ kind, name, body };
}

/* --- the frame --- */

static void frame_declarations(const struct rules_options *o, struct strbuf *out)
{
        /* A map a protocol: "th dport" in place of the names would do for all, but nft refuses to use such a map
         * in a rule of one protocol once it has read it back from the kernel. */
        for (size_t i = 0; i < N_PROTOCOLS; i++) {
                const char *proto = service_protocol_names[i];

                strbuf_printf(out,
                              "map %s-endpoints { typeof ip daddr . %s dport . numgen random mod 2 : ip daddr . %s dport; }\n"
                              "map node-%s-endpoints { typeof %s dport . numgen random mod 2 : ip daddr . %s dport; }\n",
                              proto, proto, proto, proto, proto, proto);
        }
        strbuf_puts(out, "map services { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
                         "map nodeports { type inet_proto . inet_service : verdict; }\n"
                         "map no-endpoints { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
                         "map no-endpoint-nodeports { type inet_proto . inet_service : verdict; }\n"
                         "set hairpin { type ipv4_addr . ipv4_addr; }\n");
}

/* Who comes from outside the pods to a cluster address is masqueraded: the host itself may carry an
 * address (of the dummy interface) that other nodes would take for their own. */
static void frame_nat(const struct rules_options *o, struct strbuf *out)
{
        strbuf_printf(out,
                      "chain services {\n"
                      "ip daddr %s ip saddr != %s meta mark set meta mark or 0x%x\n"
                      "ip daddr . meta l4proto . th dport vmap @services\n"
                      "ip daddr != %s fib daddr type local meta l4proto . th dport vmap @nodeports\n"
                      "}\n",
                      o->service_cidr, o->cluster_cidr, RULES_MARK, o->service_cidr);
        strbuf_puts(out, "chain prerouting {\n"
                         "type nat hook prerouting priority -100; policy accept;\n"
                         "jump services\n"
                         "}\n"
                         "chain output {\n"
                         "type nat hook output priority -100; policy accept;\n"
                         "jump services\n"
                         "}\n");
        strbuf_printf(out,
                      "chain postrouting {\n"
                      "type nat hook postrouting priority 100; policy accept;\n"
                      "meta mark and 0x%x == 0x%x ct status dnat meta mark set meta mark and 0x%x masquerade\n"
                      "ct status dnat ip saddr . ip daddr @hairpin masquerade\n"
                      "ct status dnat ip saddr 127.0.0.0/8 oifname != \"lo\" masquerade\n",
                      RULES_MARK, RULES_MARK, ~RULES_MARK);
        if (o->bridge_unfiltered)
                strbuf_printf(out, "ct status dnat ip saddr %s ip daddr %s masquerade\n", o->cluster_cidr,
                              o->cluster_cidr);
        strbuf_printf(out,
                      "ip saddr %s ip daddr != { %s, 224.0.0.0/4 } oifname != \"lo\" masquerade\n"
                      "}\n",
                      o->cluster_cidr, o->cluster_cidr);
}

static void frame_filter(const struct rules_options *o, struct strbuf *out)
{
        static const char *const hooks[] = { "input", "forward", "output" };

        strbuf_puts(out, "chain refuse {\nreject\n}\n"
                         "chain unserved {\n");
        if (o->dns_ip)
                strbuf_printf(out,
                              "ip daddr %s meta l4proto { tcp, udp } th dport 53 return\n"
                              "ip daddr %s meta l4proto icmp return\n",
                              o->dns_ip, o->dns_ip);
        strbuf_printf(out,
                      "ip daddr . meta l4proto . th dport vmap @no-endpoints\n"
                      "fib daddr type local meta l4proto . th dport vmap @no-endpoint-nodeports\n"
                      "ip daddr %s goto refuse\n"
                      "}\n",
                      o->service_cidr);
        /* The nat hooks have the names input and output already. */
        for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
                strbuf_printf(out,
                              "chain filter-%s {\n"
                              "type filter hook %s priority 0; policy accept;\n"
                              "ct state new jump unserved\n"
                              "}\n",
                              hooks[i], hooks[i]);
        /* A late packet that fits no connection would reach the client under the pod's own address, and
         * the client would reset the connection that it has with the Service. */
        strbuf_printf(out,
                      "chain filter-forward {\n"
                      "ct state invalid ip saddr %s drop\n"
                      "}\n",
                      o->cluster_cidr);
        strbuf_puts(out, "chain loopback-guard {\n"
                         "type filter hook prerouting priority -300; policy accept;\n"
                         "iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
                         "iifname != \"lo\" ip saddr 127.0.0.0/8 drop\n"
                         "}\n");
}

void rules_frame(const struct rules_options *o, struct strbuf *out)
{
        strbuf_printf(out, "table ip %s {\n", o->table);
        frame_declarations(o, out);
        frame_nat(o, out);
        frame_filter(o, out);
        strbuf_puts(out, "}\n");
}

/* --- a Service --- */

size_t rules_usable(const struct service_port *p, bool only_local, const struct service_endpoint **ret)
{
        size_t n = 0;

        for (size_t i = 0; i < p->n_endpoints; i++)
                if (p->endpoints[i].ready && (p->endpoints[i].local || !only_local))
                        ret[n++] = &p->endpoints[i];
        if (n)
                return n;
        for (size_t i = 0; i < p->n_endpoints; i++)
                if (p->endpoints[i].fallback && (p->endpoints[i].local || !only_local))
                        ret[n++] = &p->endpoints[i];
        return n;
}

/* What the rendering of one port needs everywhere. */
struct part {
        const struct rules_options *o;
        const struct service *service;
        const struct service_port *port;
        struct rules *r;
        struct arena *a;
        const char *key; /* "NAMESPACE/NAME/PROTOCOL/PORT" */
        const struct service_endpoint **all, **local;
        size_t n, n_local;
};

/* Two ways lead to a Service: an address of its own, or a port of any address of this node. */
struct way {
        const char *prefix;   /* of shared chains, and of the map of endpoints */
        const char *address;  /* what is looked up there before the port */
        const char *verdicts; /* who picks */
        const char *unserved;
};
static const struct way by_address = { "", "ip daddr . ", "services", "no-endpoints" };
static const struct way by_node_port = { "node-", "", "nodeports", "no-endpoint-nodeports" };

static const char *protocol(const struct part *p)
{
        return service_protocol_names[p->port->protocol];
}

/* --- session affinity: chains and sets of the Service's own --- */

static const char *endpoint_name(const struct part *p, const char *kind, const struct service_endpoint *e)
{
        return arena_printf(p->a, "%s/%s/%s/%u", kind, p->key, e->ip, e->port);
}

/* The timeout is part of the name, because the kernel does not change that of a set. */
static const char *affinity_name(const struct part *p, const struct service_endpoint *e)
{
        return arena_printf(p->a, "aff/%us/%s/%s/%u", p->service->affinity_s, p->key, e->ip, e->port);
}

static void add_affine_endpoint(const struct part *p, const struct service_endpoint *e)
{
        const char *set = affinity_name(p, e);

        add(p->r, RULE_SET, set,
            arena_printf(p->a, "type ipv4_addr; flags dynamic,timeout; timeout %us;", p->service->affinity_s));
        add(p->r, RULE_CHAIN, endpoint_name(p, "ep", e),
            arena_printf(p->a, "update @%s { ip saddr }\nmeta l4proto %s dnat to %s:%u\n", set, protocol(p), e->ip,
                         e->port));
}

/* The client's last endpoint if there is one, or else any. */
static const char *add_affine_balancer(const struct part *p, const char *kind,
                                       const struct service_endpoint *const *list, size_t n)
{
        const char *name = arena_printf(p->a, "%s/%s", kind, p->key);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < n; i++) {
                add_affine_endpoint(p, list[i]);
                strbuf_printf(&b, "ip saddr @%s goto %s\n", affinity_name(p, list[i]), endpoint_name(p, "ep", list[i]));
        }
        strbuf_printf(&b, "numgen random mod %zu vmap { ", n);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s%zu : goto %s", i ? ", " : "", i, endpoint_name(p, "ep", list[i]));
        strbuf_puts(&b, " }\n");
        add(p->r, RULE_CHAIN, name, arena_strndup(p->a, b.data, b.len));
        return name;
}

/* --- the chains that pick --- */

/* One of N endpoints, the first of which has the number FIRST. */
static const char *pick_rule(const struct part *p, const struct way *w, size_t n, size_t first)
{
        const char *offset = first ? arena_printf(p->a, " offset %zu", first) : "";

        return arena_printf(p->a,
                            "meta l4proto %s dnat ip addr . port to %s%s dport . numgen random mod %zu%s "
                            "map @%s%s-endpoints\n",
                            protocol(p), w->address, protocol(p), n, offset, w->prefix, protocol(p));
}

static const char *balancer(const struct part *p, const struct way *w, bool local)
{
        size_t n = local ? p->n_local : p->n;
        const char *name;

        if (p->service->affinity_s)
                return add_affine_balancer(p, local ? "local" : "svc", local ? p->local : p->all, n);
        name = arena_printf(p->a, "%slb/%s/%zu", w->prefix, protocol(p), n);
        add(p->r, RULE_CHAIN, name, pick_rule(p, w, n, 0));
        return name;
}

/* From outside, with policy Cluster: any endpoint serves, and we stand between, so that its answers come
 * back through us. */
static const char *external_cluster(const struct part *p, const struct way *w)
{
        const char *all = balancer(p, w, false), *name;

        name = p->service->affinity_s ? arena_printf(p->a, "ext/%s", p->key)
                                      : arena_printf(p->a, "%sext/%s/%zu", w->prefix, protocol(p), p->n);
        add(p->r, RULE_CHAIN, name, arena_printf(p->a, "meta mark set meta mark or 0x%x\ngoto %s\n", RULES_MARK, all));
        return name;
}

/* With policy Local only this node's endpoints serve, which see the client's own address. Pods and the
 * node itself are not outside, whatever the address they use. */
static const char *external_local(const struct part *p, const struct way *w)
{
        const char *all = balancer(p, w, false), *rest = "drop\n", *name;

        if (p->service->affinity_s) {
                name = arena_printf(p->a, "ext/%s", p->key);
                if (p->n_local)
                        rest = arena_printf(p->a, "goto %s\n", balancer(p, w, true));
        } else {
                name = arena_printf(p->a, "%sext-local/%s/%zu/%zu", w->prefix, protocol(p), p->n, p->n_local);
                if (p->n_local)
                        rest = pick_rule(p, w, p->n_local, p->n);
        }
        add(p->r, RULE_CHAIN, name,
            arena_printf(p->a,
                         "ip saddr %s goto %s\n"
                         "fib saddr type local meta mark set meta mark or 0x%x goto %s\n"
                         "%s",
                         p->o->cluster_cidr, all, RULES_MARK, all, rest));
        return name;
}

/* Who comes from other ranges is dropped; the nodes' own traffic passes, as upstream: a balancer's health checks. */
static const char *add_source_ranges(const struct part *p, const char *external)
{
        const char *name = arena_printf(p->a, "from/%s", p->key);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < p->service->n_source_ranges; i++)
                strbuf_printf(&b, "ip saddr %s goto %s\n", p->service->source_ranges[i], external);
        strbuf_printf(&b, "fib saddr type local goto %s\ndrop\n", external);
        add(p->r, RULE_CHAIN, name, arena_strndup(p->a, b.data, b.len));
        return name;
}

/* --- the elements --- */

/* Where a Service is found: on IP, or on its node port where IP is NULL. */
struct place {
        const struct way *way;
        const char *ip;
        uint16_t port;
};

static void add_verdict(const struct part *p, const struct place *at, bool served, const char *verdict)
{
        const char *map = served ? at->way->verdicts : at->way->unserved;

        add(p->r, RULE_ELEMENT,
            arena_printf(p->a, "%s %s%s%s . %u", map, at->ip ? at->ip : "", at->ip ? " . " : "", protocol(p), at->port),
            verdict);
}

/* What the chains of balancer() (ALL or LOCAL) and external_local() (both, in this order) look up. */
static void add_list(const struct part *p, const struct place *at, bool all, bool local)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (p->service->affinity_s)
                return;
        for (size_t i = 0; all && i < p->n; i++)
                strbuf_printf(&b, "%s . %u\n", p->all[i]->ip, p->all[i]->port);
        for (size_t i = 0; local && i < p->n_local; i++)
                strbuf_printf(&b, "%s . %u\n", p->local[i]->ip, p->local[i]->port);
        add(p->r, RULE_LIST,
            arena_printf(p->a, "%s%s-endpoints %s%s%u", at->way->prefix, protocol(p), at->ip ? at->ip : "",
                         at->ip ? " . " : "", at->port),
            arena_strndup(p->a, b.data, b.len));
}

static void add_external(const struct part *p, const struct place *at, bool ranges)
{
        bool local = p->service->external_local;
        const char *chain = local ? external_local(p, at->way) : external_cluster(p, at->way);

        if (ranges && p->service->n_source_ranges)
                chain = add_source_ranges(p, chain);
        add_verdict(p, at, true, arena_printf(p->a, "goto %s", chain));
        add_list(p, at, true, local);
}

static void add_internal(const struct part *p, const struct place *at)
{
        bool local = p->service->internal_local;

        /* Endpoints elsewhere do not count, yet one may come here any moment: drop, so that clients try again. */
        if (local && !p->n_local) {
                add_verdict(p, at, false, "drop");
                return;
        }
        add_verdict(p, at, true, arena_printf(p->a, "goto %s", balancer(p, at->way, local)));
        add_list(p, at, !local, local);
}

enum place_kind { PLACE_CLUSTER, PLACE_EXTERNAL, PLACE_BALANCER, PLACE_NODE };

static void add_place(const struct part *p, enum place_kind kind, const char *ip)
{
        struct place at = { ip ? &by_address : &by_node_port, ip, ip ? p->port->port : p->port->node_port };

        if (!p->n)
                add_verdict(p, &at, false, "goto refuse");
        else if (kind == PLACE_CLUSTER)
                add_internal(p, &at);
        else
                add_external(p, &at, kind == PLACE_BALANCER);
}

static void add_hairpin(const struct part *p, const struct service_endpoint *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (list[i]->local)
                        add(p->r, RULE_ELEMENT, arena_printf(p->a, "hairpin %s . %s", list[i]->ip, list[i]->ip), "");
}

static void add_port(struct part *p)
{
        size_t room = p->port->n_endpoints + 1;

        p->key = arena_printf(p->a, "%s/%s/%s/%u", p->service->namespace, p->service->name, protocol(p), p->port->port);
        p->all = arena_alloc(p->a, room * sizeof(*p->all));
        p->local = arena_alloc(p->a, room * sizeof(*p->local));
        p->n = rules_usable(p->port, false, p->all);
        if (p->service->internal_local || p->service->external_local)
                p->n_local = rules_usable(p->port, true, p->local);
        add_place(p, PLACE_CLUSTER, p->service->cluster_ip);
        for (size_t i = 0; i < p->service->n_external_ips; i++)
                add_place(p, PLACE_EXTERNAL, p->service->external_ips[i]);
        for (size_t i = 0; i < p->service->n_balancer_ips; i++)
                add_place(p, PLACE_BALANCER, p->service->balancer_ips[i]);
        if (p->port->node_port)
                add_place(p, PLACE_NODE, NULL);
        add_hairpin(p, p->all, p->n);
        add_hairpin(p, p->local, p->n_local);
}

void rules_service(const struct rules_options *o, const struct service *s, struct rules *r)
{
        for (size_t i = 0; i < s->n_ports; i++) {
                struct part p = { o, s, &s->ports[i], r, r->arena };

                add_port(&p);
        }
}
