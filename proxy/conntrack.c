/* Forgetting dead UDP flows through libnetfilter_conntrack: see conntrack.h. */
#include "conntrack.h"

#include <arpa/inet.h>

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include "rules.h"

void conntrack_flows_deinit(struct conntrack_flows *f)
{
        for (size_t i = 0; i < f->n; i++)
                free(f->items[i].endpoints);
        free(f->items);
        *f = (struct conntrack_flows){ 0 };
}

static void add_flow(struct conntrack_flows *f, uint32_t ip, uint16_t port, const uint64_t *endpoints, size_t n)
{
        uint64_t *copy = xcalloc(n + 1, sizeof(*copy)); /* never NULL, also when empty */

        if (n)
                memcpy(copy, endpoints, n * sizeof(*copy));
        array_reserve(f->items, f->cap, f->n + 1);
        f->items[f->n++] = (struct conntrack_flow){ ip, port, copy, n };
}

static uint32_t parse_ip(const char *s)
{
        struct in_addr addr = { 0 };

        inet_pton(AF_INET, s, &addr);
        return ntohl(addr.s_addr);
}

static int by_value(const void *x, const void *y)
{
        uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

        return a < b ? -1 : a > b;
}

static void add_port(const struct service *s, const struct service_port *p, struct conntrack_flows *f)
{
        const struct service_endpoint **usable = xcalloc(p->n_endpoints + 1, sizeof(*usable));
        size_t n = rules_usable(p, false, usable);
        uint64_t *list = xcalloc(n + 1, sizeof(*list));

        for (size_t i = 0; i < n; i++)
                list[i] = conntrack_endpoint(parse_ip(usable[i]->ip), usable[i]->port);
        qsort(list, n, sizeof(*list), by_value);
        add_flow(f, parse_ip(s->cluster_ip), p->port, list, n);
        for (size_t i = 0; i < s->n_external_ips; i++)
                add_flow(f, parse_ip(s->external_ips[i]), p->port, list, n);
        for (size_t i = 0; i < s->n_balancer_ips; i++)
                add_flow(f, parse_ip(s->balancer_ips[i]), p->port, list, n);
        if (p->node_port)
                add_flow(f, 0, p->node_port, list, n);
        free(list);
        free(usable);
}

void conntrack_flows_of(const struct service *s, struct conntrack_flows *ret)
{
        *ret = (struct conntrack_flows){ 0 };
        for (size_t i = 0; s && i < s->n_ports; i++)
                if (s->ports[i].protocol == SERVICE_UDP)
                        add_port(s, &s->ports[i], ret);
}

bool conntrack_flows_equal(const struct conntrack_flows *x, const struct conntrack_flows *y)
{
        if (x->n != y->n)
                return false;
        for (size_t i = 0; i < x->n; i++) {
                const struct conntrack_flow *a = &x->items[i], *b = &y->items[i];

                if (a->ip != b->ip || a->port != b->port || a->n != b->n ||
                    memcmp(a->endpoints, b->endpoints, a->n * sizeof(*a->endpoints)) != 0)
                        return false;
        }
        return true;
}

static const struct conntrack_flow *find(const struct conntrack_flows *f, uint32_t ip, uint16_t port)
{
        for (size_t i = 0; i < f->n; i++)
                if (f->items[i].port == port && f->items[i].ip == ip)
                        return &f->items[i];
        return NULL;
}

void conntrack_flows_changed(const struct conntrack_flows *old, const struct conntrack_flows *new,
                             struct conntrack_flows *batch)
{
        for (size_t i = 0; i < new->n; i++)
                add_flow(batch, new->items[i].ip, new->items[i].port, new->items[i].endpoints, new->items[i].n);
        for (size_t i = 0; i < old->n; i++)
                if (!find(new, old->items[i].ip, old->items[i].port))
                        add_flow(batch, old->items[i].ip, old->items[i].port, NULL, 0);
}

bool conntrack_is_stale(const struct conntrack_flows *f, uint32_t ip, uint16_t port, uint64_t endpoint)
{
        const struct conntrack_flow *flow = find(f, ip, port);

        if (!flow)
                flow = find(f, 0, port);
        return flow && !bsearch(&endpoint, flow->endpoints, flow->n, sizeof(endpoint), by_value);
}

/* --- the kernel --- */

struct walk {
        const struct conntrack_flows *flows;
        struct nf_conntrack **stale;
        size_t n, cap;
};

static int on_entry(enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *userdata)
{
        struct walk *w = userdata;
        uint64_t endpoint;

        if (nfct_get_attr_u8(ct, ATTR_L4PROTO) != IPPROTO_UDP)
                return NFCT_CB_CONTINUE;
        endpoint = conntrack_endpoint(ntohl(nfct_get_attr_u32(ct, ATTR_REPL_IPV4_SRC)),
                                      ntohs(nfct_get_attr_u16(ct, ATTR_REPL_PORT_SRC)));
        if (!conntrack_is_stale(w->flows, ntohl(nfct_get_attr_u32(ct, ATTR_ORIG_IPV4_DST)),
                                ntohs(nfct_get_attr_u16(ct, ATTR_ORIG_PORT_DST)), endpoint))
                return NFCT_CB_CONTINUE;
        array_reserve(w->stale, w->cap, w->n + 1);
        w->stale[w->n++] = ct;
        return NFCT_CB_STOLEN;
}

int conntrack_flush(const struct conntrack_flows *f, size_t *ret_n, struct error *reterr)
{
        struct nfct_handle *h = nfct_open(CONNTRACK, 0);
        uint32_t family = AF_INET;
        struct walk w = { .flows = f };
        int r = 0;

        if (!h)
                return error_set(reterr, -errno, "conntrack: %s", strerror(errno));
        nfct_callback_register(h, NFCT_T_ALL, on_entry, &w);
        if (nfct_query(h, NFCT_Q_DUMP, &family) < 0)
                r = error_set(reterr, -errno, "conntrack: %s", strerror(errno));
        *ret_n = 0;
        for (size_t i = 0; i < w.n; i++) {
                /* ENOENT: it ended by itself meanwhile */
                if (nfct_query(h, NFCT_Q_DESTROY, w.stale[i]) == 0)
                        (*ret_n)++;
                nfct_destroy(w.stale[i]);
        }
        free(w.stale);
        nfct_close(h);
        return r;
}
