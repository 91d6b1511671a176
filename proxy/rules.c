/* Renders the table's frame and each Service's part of it: see rules.h. */
#include "rules.h"

#include <stdio.h>

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
};

static const char *protocol(const struct part *p)
{
        return service_protocol_names[p->port->protocol];
}

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
static void affine_rules(const struct part *p, const struct service_endpoint *const *list, size_t n, struct strbuf *b)
{
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "ip saddr @%s goto %s\n", affinity_name(p, list[i]), endpoint_name(p, "ep", list[i]));
        if (n == 1) {
                strbuf_printf(b, "goto %s\n", endpoint_name(p, "ep", list[0]));
                return;
        }
        strbuf_printf(b, "numgen random mod %zu vmap { ", n);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "%s%zu : goto %s", i ? ", " : "", i, endpoint_name(p, "ep", list[i]));
        strbuf_puts(b, " }\n");
}

static void balancing_rules(const struct part *p, const struct service_endpoint *const *list, size_t n,
                            struct strbuf *b)
{
        strbuf_printf(b, "meta l4proto %s dnat ", protocol(p));
        if (n == 1) {
                strbuf_printf(b, "to %s:%u\n", list[0]->ip, list[0]->port);
                return;
        }
        strbuf_printf(b, "ip addr . port to numgen random mod %zu map { ", n);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "%s%zu : %s . %u", i ? ", " : "", i, list[i]->ip, list[i]->port);
        strbuf_puts(b, " }\n");
}

/* The chain that picks an endpoint of LIST; NULL when the list is empty. */
static const char *add_balancer(const struct part *p, const char *kind, const struct service_endpoint *const *list,
                                size_t n)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *name;

        if (!n)
                return NULL;
        if (p->service->affinity_s)
                affine_rules(p, list, n, &b);
        else
                balancing_rules(p, list, n, &b);
        name = arena_printf(p->a, "%s/%s", kind, p->key);
        add(p->r, RULE_CHAIN, name, arena_strndup(p->a, b.data, b.len));
        return name;
}

/* The way in from outside. With policy Cluster any endpoint serves, and we stand between, so that its answers come
 * back through us; with Local only those of this node, which see the client's own address. Pods and
 * the node itself are not outside, whatever the address they use. */
static const char *add_external(const struct part *p, const char *all, const char *local)
{
        const char *name = arena_printf(p->a, "ext/%s", p->key), *body;

        if (!p->service->external_local)
                body = arena_printf(p->a, "meta mark set meta mark or 0x%x\ngoto %s\n", RULES_MARK, all);
        else
                body = arena_printf(p->a,
                                    "ip saddr %s goto %s\n"
                                    "fib saddr type local meta mark set meta mark or 0x%x goto %s\n"
                                    "%s%s\n",
                                    p->o->cluster_cidr, all, RULES_MARK, all, local ? "goto " : "drop",
                                    local ? local : "");
        add(p->r, RULE_CHAIN, name, body);
        return name;
}

/* The nodes' own traffic passes the source ranges, as upstream: health checks of the balancer's address. */
static const char *add_source_ranges(const struct part *p, const char *external)
{
        const char *name = arena_printf(p->a, "lb/%s", p->key);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < p->service->n_source_ranges; i++)
                strbuf_printf(&b, "ip saddr %s goto %s\n", p->service->source_ranges[i], external);
        strbuf_printf(&b, "fib saddr type local goto %s\ndrop\n", external);
        add(p->r, RULE_CHAIN, name, arena_strndup(p->a, b.data, b.len));
        return name;
}

static void add_address(const struct part *p, const char *map, const char *ip, const char *verdict)
{
        add(p->r, RULE_ELEMENT, arena_printf(p->a, "%s %s . %s . %u", map, ip, protocol(p), p->port->port), verdict);
}

static void add_node_port(const struct part *p, const char *map, const char *verdict)
{
        if (p->port->node_port)
                add(p->r, RULE_ELEMENT, arena_printf(p->a, "%s %s . %u", map, protocol(p), p->port->node_port),
                    verdict);
}

static bool has_external(const struct part *p)
{
        return p->port->node_port || p->service->n_external_ips || p->service->n_balancer_ips;
}

static void add_unserved(const struct part *p)
{
        add_address(p, "no-endpoints", p->service->cluster_ip, "goto refuse");
        for (size_t i = 0; i < p->service->n_external_ips; i++)
                add_address(p, "no-endpoints", p->service->external_ips[i], "goto refuse");
        for (size_t i = 0; i < p->service->n_balancer_ips; i++)
                add_address(p, "no-endpoints", p->service->balancer_ips[i], "goto refuse");
        add_node_port(p, "no-endpoint-nodeports", "goto refuse");
}

static void add_served(const struct part *p, const char *all, const char *local)
{
        const char *go, *external, *balancer;

        /* Endpoints elsewhere do not count, yet they may come back here any moment: drop, so that clients try again. */
        if (!p->service->internal_local)
                add_address(p, "services", p->service->cluster_ip, arena_printf(p->a, "goto %s", all));
        else if (local)
                add_address(p, "services", p->service->cluster_ip, arena_printf(p->a, "goto %s", local));
        else
                add_address(p, "no-endpoints", p->service->cluster_ip, "drop");
        if (!has_external(p))
                return;
        external = add_external(p, all, local);
        go = arena_printf(p->a, "goto %s", external);
        for (size_t i = 0; i < p->service->n_external_ips; i++)
                add_address(p, "services", p->service->external_ips[i], go);
        add_node_port(p, "nodeports", go);
        if (!p->service->n_balancer_ips)
                return;
        balancer = p->service->n_source_ranges ? add_source_ranges(p, external) : external;
        for (size_t i = 0; i < p->service->n_balancer_ips; i++)
                add_address(p, "services", p->service->balancer_ips[i], arena_printf(p->a, "goto %s", balancer));
}

static void add_hairpin(const struct part *p, const struct service_endpoint *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (list[i]->local)
                        add(p->r, RULE_ELEMENT, arena_printf(p->a, "hairpin %s . %s", list[i]->ip, list[i]->ip), "");
}

static void add_port(const struct part *p)
{
        size_t room = p->port->n_endpoints + 1, n, n_local = 0;
        const struct service_endpoint **all = arena_alloc(p->a, room * sizeof(*all));
        const struct service_endpoint **local = arena_alloc(p->a, room * sizeof(*local));
        bool needs_local = p->service->internal_local || (p->service->external_local && has_external(p));
        const char *all_chain, *local_chain;

        n = rules_usable(p->port, false, all);
        if (!n) {
                add_unserved(p);
                return;
        }
        if (needs_local)
                n_local = rules_usable(p->port, true, local);
        if (p->service->affinity_s) {
                for (size_t i = 0; i < n; i++)
                        add_affine_endpoint(p, all[i]);
                /* Where others are ready, a node's own that terminate are usable for it alone. */
                for (size_t i = 0; i < n_local; i++)
                        if (!local[i]->ready && all[0]->ready)
                                add_affine_endpoint(p, local[i]);
        }
        all_chain = add_balancer(p, "svc", all, n);
        local_chain = add_balancer(p, "local", local, n_local);
        add_served(p, all_chain, local_chain);
        add_hairpin(p, all, n);
        add_hairpin(p, local, n_local);
}

void rules_service(const struct rules_options *o, const struct service *s, struct rules *r)
{
        for (size_t i = 0; i < s->n_ports; i++) {
                struct part p = { o, s, &s->ports[i], r, r->arena, NULL };

                p.key = arena_printf(r->arena, "%s/%s/%s/%u", s->namespace, s->name, protocol(&p), s->ports[i].port);
                add_port(&p);
        }
}
