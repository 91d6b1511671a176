/* Answers from the cluster's zone: see answer.h for what is in it.
 *
 * The labels of the question before the zone's are looked at from the right: what kind of thing,
 * which namespace, which Service, and what is left of it. A name that exists with other types of
 * records, or only above others, is "no data"; what does not exist is NXDOMAIN; both carry the SOA,
 * whose minimum tells how long that may be remembered.
 */
#include "answer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#define CHAIN_MAX 8 /* ExternalNames that lead to one another */
#define SPEC_VERSION "1.1.0"

struct ask {
        const struct dns_zone *zone;
        struct arena *arena;
        struct dns_message *reply;
        const uint8_t *name; /* asked for now: of the question, or a CNAME's target */
        uint16_t type;
        /* Before the zone, lower case. Nothing that Kubernetes names has a byte outside of letters, digits,
         * '-' and '_': other labels become "", which matches nothing. */
        const char *labels[DNS_LABELS_MAX];
        size_t n;
        bool exists; /* the name does, maybe with no record of this type */
        const uint8_t *chase;
};

/* --- records --- */

static bool wants(const struct ask *k, uint16_t type)
{
        return k->type == type || k->type == DNS_ANY;
}

static struct dns_rr *add(struct ask *k, unsigned section, const uint8_t *name, uint16_t type, const void *data,
                          size_t len)
{
        struct dns_rr rr = {
                .name = name, .type = type, .class = DNS_CLASS_IN, .ttl = k->zone->ttl,
                .len = (uint16_t)len, .data = arena_memdup(k->arena, data, len),
        };
        const struct dns_rrs *rrs = &k->reply->sections[section];

        for (size_t i = 0; i < rrs->n; i++) { /* two slices may hold the same endpoint */
                struct dns_rr *old = &rrs->items[i];

                if (old->type == type && old->len == len && memcmp(old->data, data, len) == 0 &&
                    dns_name_equal(old->name, name))
                        return old;
        }
        return dns_message_add(k->arena, k->reply, section, rr);
}

/* "a.b", the zone behind it. NULL when that is too long for a name. */
static const uint8_t *zone_name(struct ask *k, const char *fmt, ...) printf_like(2, 3);
static const uint8_t *zone_name(struct ask *k, const char *fmt, ...)
{
        size_t zone = dns_name_len(k->zone->name), n;
        const uint8_t *head;
        uint8_t *name;
        va_list ap;

        va_start(ap, fmt);
        head = dns_name_parse(k->arena, arena_vprintf(k->arena, fmt, ap));
        va_end(ap);
        if (!head)
                return NULL;
        n = dns_name_len(head) - 1;
        if (n + zone > DNS_NAME_MAX)
                return NULL;
        name = arena_alloc(k->arena, n + zone);
        memcpy(name, head, n);
        memcpy(name + n, k->zone->name, zone);
        return name;
}

static uint16_t parse_address(const char *text, uint8_t buf[16], size_t *ret_len)
{
        if (inet_pton(AF_INET, text, buf) == 1) {
                *ret_len = 4;
                return DNS_A;
        }
        if (inet_pton(AF_INET6, text, buf) == 1) {
                *ret_len = 16;
                return DNS_AAAA;
        }
        return 0;
}

/* An A or AAAA record, where that is what was asked for (or ANYWAY). */
static void add_address(struct ask *k, unsigned section, const uint8_t *name, const char *text, bool anyway)
{
        uint8_t buf[16];
        size_t len;
        uint16_t type = parse_address(text, buf, &len);

        if (type && name && (anyway || wants(k, type)))
                add(k, section, name, type, buf, len);
}

static void add_name(struct ask *k, const uint8_t *owner, uint16_t type, const uint8_t *target)
{
        if (target)
                add(k, DNS_ANSWER, owner, type, target, dns_name_len(target));
}

static void add_srv(struct ask *k, const uint8_t *target, uint16_t port)
{
        uint8_t data[6 + DNS_NAME_MAX] = { 0, 0, 0, 0, (uint8_t)(port >> 8), (uint8_t)port };

        if (!target)
                return;
        memcpy(data + 6, target, dns_name_len(target));
        add(k, DNS_ANSWER, k->name, DNS_SRV, data, 6 + dns_name_len(target));
}

/* All SRV records have priority 0 and the same weight; the weights of a name add up to about 100. */
static void set_weights(struct ask *k)
{
        struct dns_rrs *rrs = &k->reply->sections[DNS_ANSWER];
        size_t n = 0;

        for (size_t i = 0; i < rrs->n; i++)
                n += rrs->items[i].type == DNS_SRV;
        for (size_t i = 0; i < rrs->n; i++)
                if (rrs->items[i].type == DNS_SRV)
                        ((uint8_t *)rrs->items[i].data)[3] = (uint8_t)MAX(100 / n, 1u);
}

static void add_soa(struct ask *k, unsigned section)
{
        const uint8_t *mname = zone_name(k, "ns.dns"), *rname = zone_name(k, "hostmaster");
        const uint32_t numbers[5] = { htonl(k->zone->serial), htonl(7200), htonl(1800), htonl(86400),
                                      htonl(k->zone->ttl) };
        uint8_t data[2 * DNS_NAME_MAX + sizeof(numbers)];
        size_t n;

        if (!mname || !rname)
                return;
        n = dns_name_len(mname);
        memcpy(data, mname, n);
        memcpy(data + n, rname, dns_name_len(rname));
        n += dns_name_len(rname);
        memcpy(data + n, numbers, sizeof(numbers));
        add(k, section, k->zone->name, DNS_SOA, data, n + sizeof(numbers));
}

/* --- Services --- */

static bool usable(const struct dns_service *s, const struct dns_endpoint *e)
{
        return e->ready || s->publish_not_ready;
}

/* The label of an endpoint: its hostname, or its address with dashes. */
static const char *endpoint_label(struct ask *k, const struct dns_endpoint *e)
{
        char *label;

        if (!str_empty(e->hostname))
                return e->hostname;
        label = arena_strdup(k->arena, e->address);
        for (char *c = label; *c; c++)
                if (*c == '.' || *c == ':')
                        *c = '-';
        return label;
}

static const uint8_t *endpoint_name(struct ask *k, const struct dns_service *s, const struct dns_endpoint *e)
{
        return zone_name(k, "%s.%s.%s.svc", endpoint_label(k, e), s->name, s->namespace);
}

/* PORT and PROTOCOL "_http", "_tcp"; NULL: any. */
static bool port_matches(const struct dns_port *p, const char *port, const char *protocol)
{
        return (!port || (port[0] == '_' && strcasecmp(p->name, port + 1) == 0)) &&
               (!protocol || (protocol[0] == '_' && streq(p->protocol, protocol + 1)));
}

static bool any_port(const struct dns_port *ports, size_t n, const char *port, const char *protocol)
{
        for (size_t i = 0; i < n; i++)
                if (port_matches(&ports[i], port, protocol))
                        return true;
        return false;
}

static void answer_external(struct ask *k, const struct dns_service *s)
{
        const uint8_t *target;
        uint8_t buf[16];
        size_t len;

        k->exists = true;
        if (parse_address(s->external_name, buf, &len)) {
                add_address(k, DNS_ANSWER, k->name, s->external_name, false);
                return;
        }
        target = dns_name_parse(k->arena, s->external_name);
        if (!target)
                return;
        add_name(k, k->name, DNS_CNAME, target);
        if (k->type != DNS_CNAME && k->type != DNS_ANY)
                k->chase = target;
}

static void answer_headless(struct ask *k, const struct dns_service *s, const char *port, const char *protocol)
{
        for (size_t i = 0; i < s->n_endpoints; i++) {
                const struct dns_endpoint *e = &s->endpoints[i];

                if (!usable(s, e) || ((port || protocol) && !any_port(e->ports, e->n_ports, port, protocol)))
                        continue;
                k->exists = true;
                if (!port && !protocol)
                        add_address(k, DNS_ANSWER, k->name, e->address, false);
                if (k->type != DNS_SRV || (protocol && !port))
                        continue;
                for (size_t p = 0; p < e->n_ports; p++)
                        if (port_matches(&e->ports[p], port, protocol)) {
                                const uint8_t *target = endpoint_name(k, s, e);

                                add_srv(k, target, e->ports[p].port);
                                add_address(k, DNS_ADDITIONAL, target, e->address, true);
                        }
        }
}

static void answer_virtual(struct ask *k, const struct dns_service *s, const char *port, const char *protocol)
{
        const uint8_t *target;

        if ((port || protocol) && !any_port(s->ports, s->n_ports, port, protocol))
                return;
        k->exists = true;
        if (!port && !protocol)
                for (size_t i = 0; i < s->n_addresses; i++)
                        add_address(k, DNS_ANSWER, k->name, s->addresses[i], false);
        if (k->type != DNS_SRV || (protocol && !port))
                return;
        target = zone_name(k, "%s.%s.svc", s->name, s->namespace);
        for (size_t p = 0; p < s->n_ports; p++)
                if (port_matches(&s->ports[p], port, protocol))
                        add_srv(k, target, s->ports[p].port);
        for (size_t i = 0; i < s->n_addresses; i++)
                add_address(k, DNS_ADDITIONAL, target, s->addresses[i], true);
}

/* HOST.SERVICE.NS.svc */
static void answer_endpoint(struct ask *k, const struct dns_service *s, const char *host)
{
        for (size_t i = 0; i < s->n_endpoints; i++) {
                const struct dns_endpoint *e = &s->endpoints[i];

                if (!usable(s, e) || strcasecmp(endpoint_label(k, e), host) != 0)
                        continue;
                k->exists = true;
                add_address(k, DNS_ANSWER, k->name, e->address, false);
                if (k->type == DNS_SRV)
                        for (size_t p = 0; p < e->n_ports; p++) {
                                add_srv(k, k->name, e->ports[p].port);
                                add_address(k, DNS_ADDITIONAL, k->name, e->address, true);
                        }
        }
}

/* [[PORT.]PROTOCOL. | HOST.]SERVICE.NS.svc; the labels are counted from the right. */
static void answer_service(struct ask *k)
{
        const struct dns_source *src = &k->zone->source;
        const char *ns = k->n > 1 ? k->labels[k->n - 2] : NULL, *port = NULL, *protocol = NULL;
        const struct dns_service *s;

        if (k->n <= 2) {
                k->exists = !ns || src->has_namespace(src->ctx, ns);
                return;
        }
        if (k->n > 5)
                return;
        s = src->service(src->ctx, k->arena, ns, k->labels[k->n - 3]);
        if (!s)
                return;
        if (k->n == 4 && k->labels[0][0] != '_') {
                answer_endpoint(k, s, k->labels[0]);
                return;
        }
        if (k->n >= 4)
                protocol = k->labels[k->n - 4];
        if (k->n == 5)
                port = k->labels[0];
        if (s->external_name) {
                if (k->n == 3)
                        answer_external(k, s);
        } else if (s->headless) {
                answer_headless(k, s, port, protocol);
        } else {
                answer_virtual(k, s, port, protocol);
        }
        set_weights(k);
}

/* --- pods, the zone itself, addresses --- */

/* "10-1-2-3" or an IPv6 address with dashes. */
static bool undash(const char *label, char buf[INET6_ADDRSTRLEN])
{
        uint8_t address[16];
        size_t n = strlen(label), len;

        if (n >= INET6_ADDRSTRLEN)
                return false;
        for (unsigned family = 0; family < 2; family++) {
                for (size_t i = 0; i <= n; i++)
                        buf[i] = label[i] == '-' ? ".:"[family] : label[i];
                if (parse_address(buf, address, &len))
                        return true;
        }
        return false;
}

/* ADDRESS.NS.pod: no pod is looked up, as with CoreDNS's "pods insecure", which kubeadm sets up. */
static void answer_pod(struct ask *k)
{
        const struct dns_source *src = &k->zone->source;
        char address[INET6_ADDRSTRLEN];

        if (k->n > 3 || (k->n > 1 && !src->has_namespace(src->ctx, k->labels[k->n - 2])))
                return;
        if (k->n < 3) {
                k->exists = true;
        } else if (undash(k->labels[0], address)) {
                k->exists = true;
                add_address(k, DNS_ANSWER, k->name, address, false);
        }
}

static void answer_apex(struct ask *k)
{
        k->exists = true;
        if (wants(k, DNS_SOA))
                add_soa(k, DNS_ANSWER);
        if (wants(k, DNS_NS)) {
                add_name(k, k->name, DNS_NS, zone_name(k, "ns.dns"));
                add_address(k, DNS_ADDITIONAL, zone_name(k, "ns.dns"), k->zone->address, true);
        }
}

static void answer_zone(struct ask *k)
{
        const char *last = k->n ? k->labels[k->n - 1] : "";

        if (!k->n) {
                answer_apex(k);
        } else if (streq(last, "svc")) {
                answer_service(k);
        } else if (streq(last, "pod")) {
                answer_pod(k);
        } else if (streq(last, "dns-version") && k->n == 1) {
                k->exists = true;
                if (wants(k, DNS_TXT))
                        add(k, DNS_ANSWER, k->name, DNS_TXT, "\5" SPEC_VERSION, sizeof(SPEC_VERSION));
        } else if (streq(last, "dns") && (k->n == 1 || (k->n == 2 && streq(k->labels[0], "ns")))) {
                k->exists = true;
                if (k->n == 2)
                        add_address(k, DNS_ANSWER, k->name, k->zone->address, false);
        }
}

/* The address in "3.2.1.10.in-addr.arpa" or in 32 nibbles of ip6.arpa. */
static bool reverse_address(const uint8_t *name, char buf[INET6_ADDRSTRLEN])
{
        char text[DNS_TEXT_MAX], colons[40], hex[33] = "";
        unsigned b[4];
        uint8_t address[16];
        int end = 0;

        dns_name_text(name, text);
        if (sscanf(text, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &b[0], &b[1], &b[2], &b[3], &end) == 4 && end &&
            !text[end]) {
                snprintf(buf, INET6_ADDRSTRLEN, "%u.%u.%u.%u", b[3], b[2], b[1], b[0]);
                return inet_pton(AF_INET, buf, address) == 1;
        }
        if (strlen(text) != 64 + 8 || !streq(text + 64, "ip6.arpa"))
                return false;
        for (unsigned i = 0; i < 32; i++)
                hex[i] = text[62 - 2 * i];
        snprintf(colons, sizeof(colons), "%.4s:%.4s:%.4s:%.4s:%.4s:%.4s:%.4s:%.4s", hex, hex + 4, hex + 8, hex + 12,
                 hex + 16, hex + 20, hex + 24, hex + 28);
        return inet_pton(AF_INET6, colons, address) == 1 && inet_ntop(AF_INET6, address, buf, INET6_ADDRSTRLEN);
}

/* True when the address is one of the cluster's. */
static bool answer_reverse(struct ask *k)
{
        const struct dns_source *src = &k->zone->source;
        const struct dns_service *const *services;
        char address[INET6_ADDRSTRLEN];
        size_t n;

        if (!reverse_address(k->name, address))
                return false;
        n = src->by_address(src->ctx, k->arena, address, &services);
        for (size_t i = 0; i < n; i++) /* a cluster IP is one Service's */
                for (size_t j = 0; j < services[i]->n_addresses; j++)
                        if (streq(services[i]->addresses[j], address)) {
                                k->exists = true;
                                if (wants(k, DNS_PTR))
                                        add_name(k, k->name, DNS_PTR, zone_name(k, "%s.%s.svc", services[i]->name,
                                                                                services[i]->namespace));
                                return true;
                        }
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < services[i]->n_endpoints; j++) {
                        const struct dns_endpoint *e = &services[i]->endpoints[j];

                        if (!streq(e->address, address) || !usable(services[i], e))
                                continue;
                        k->exists = true;
                        if (wants(k, DNS_PTR))
                                add_name(k, k->name, DNS_PTR, endpoint_name(k, services[i], e));
                }
        return k->exists;
}

/* --- the whole --- */

static const char *plain_label(struct arena *a, const uint8_t *label)
{
        char *text = arena_strndup(a, (const char *)label + 1, *label);

        for (unsigned i = 0; i < *label; i++) {
                char c = text[i];

                if (c >= 'A' && c <= 'Z')
                        text[i] = (char)(c + 32);
                else if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
                        return "";
        }
        return text;
}

/* Sets the labels before the zone; false: the name is not in it. */
static bool enter_zone(struct ask *k)
{
        const uint8_t *labels[DNS_LABELS_MAX], *zone[DNS_LABELS_MAX];
        size_t n = dns_name_labels(k->name, labels), nz = dns_name_labels(k->zone->name, zone);

        if (n < nz || !dns_name_equal(n == nz ? k->name : labels[n - nz], k->zone->name))
                return false;
        k->n = n - nz;
        for (size_t i = 0; i < k->n; i++)
                k->labels[i] = plain_label(k->arena, labels[i]);
        return true;
}

/* The addresses of a name take turns in being the first. */
static void rotate(struct ask *k)
{
        struct dns_rrs *rrs = &k->reply->sections[DNS_ANSWER];
        size_t from = 0, n;
        struct dns_rr *copy;

        while (from < rrs->n && rrs->items[from].type == DNS_CNAME)
                from++;
        n = rrs->n - from;
        if (n < 2)
                return;
        copy = arena_memdup(k->arena, rrs->items + from, n * sizeof(*copy));
        for (size_t i = 0; i < n; i++)
                rrs->items[from + i] = copy[(i + k->zone->turn) % n];
}

/* An rcode when the query is nothing that we answer; -1. */
static int refuse(const struct dns_message *q, int read_result)
{
        if (DNS_OPCODE(q->flags) != 0)
                return DNS_NOTIMP;
        if (read_result != 0)
                return DNS_FORMERR;
        if (q->edns && q->edns_version != 0)
                return DNS_BADVERS;
        if (q->qclass != DNS_CLASS_IN || q->qtype == DNS_AXFR || q->qtype == DNS_IXFR)
                return DNS_REFUSED;
        return -1;
}

static enum dns_outcome conclude(struct ask *k)
{
        const struct dns_message *reply = k->reply;

        if (k->chase)
                return DNS_CHASE;
        rotate(k);
        if (!k->exists)
                k->reply->rcode = DNS_NXDOMAIN;
        if (!reply->sections[DNS_ANSWER].n ||
            (k->type != DNS_CNAME && k->type != DNS_ANY &&
             reply->sections[DNS_ANSWER].items[reply->sections[DNS_ANSWER].n - 1].type == DNS_CNAME))
                add_soa(k, DNS_AUTHORITY);
        return DNS_ANSWERED;
}

enum dns_outcome dns_answer(const struct dns_zone *zone, struct arena *a, const struct dns_message *query,
                            int read_result, struct dns_message *reply, const uint8_t **ret_chase)
{
        struct ask k = { .zone = zone, .arena = a, .reply = reply, .name = query->qname, .type = query->qtype };
        int rcode = refuse(query, read_result);
        bool inside;

        dns_message_reply(query, reply);
        if (rcode >= 0) {
                reply->rcode = (uint16_t)rcode;
                return DNS_ANSWERED;
        }
        inside = enter_zone(&k);
        if (!zone->source.ready(zone->source.ctx)) {
                char address[INET6_ADDRSTRLEN];

                /* Better asked again than told that what is there does not exist. */
                if (!inside && !reverse_address(k.name, address))
                        return DNS_FORWARD;
                reply->rcode = DNS_SERVFAIL;
                return DNS_ANSWERED;
        }
        if (!inside && !answer_reverse(&k))
                return DNS_FORWARD;
        reply->flags |= DNS_FLAG_AA;
        for (unsigned hops = 0; inside; hops++) {
                k.chase = NULL;
                k.exists = false;
                answer_zone(&k);
                if (!k.chase)
                        break;
                k.name = k.chase;
                inside = enter_zone(&k);
                if (hops == CHAIN_MAX) {
                        reply->rcode = DNS_SERVFAIL;
                        return DNS_ANSWERED;
                }
        }
        *ret_chase = k.chase;
        return conclude(&k);
}

void dns_answer_chased(struct arena *a, struct dns_message *reply, const struct dns_message *upstream)
{
        struct dns_message part = *reply;

        if (!upstream) {
                reply->rcode = DNS_SERVFAIL;
                return;
        }
        /* The upstream's question is the CNAME's target, which is not the reply's own name. */
        part.qname = arena_memdup(a, upstream->qname, dns_name_len(upstream->qname));
        dns_message_copy_sections(a, &part, upstream);
        memcpy(reply->sections, part.sections, sizeof(part.sections));
        reply->rcode = upstream->rcode;
        if (upstream->flags & DNS_FLAG_TC)
                reply->flags |= DNS_FLAG_TC;
}
