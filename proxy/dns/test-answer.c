/* The zone's answers, one question a row: type and name, and the answer as sorted text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>

#include "../../lib/base/strbuf.h"
#include "../../lib/client/object-store.h"
#include "cluster.h"

/* What the API server would bring. */
static const char *const namespaces[] = { "default", "empty" };
static const char *const services[] = {
        "{'metadata':{'namespace':'default','name':'web'},'spec':{'clusterIP':'10.96.0.5','clusterIPs':['10.96.0.5'],"
        "'ports':[{'name':'http','port':80,'protocol':'TCP'},{'name':'dns','port':53,'protocol':'UDP'}]}}",
        "{'metadata':{'namespace':'default','name':'dual'},'spec':{'clusterIPs':['10.96.0.6','fd00::6'],"
        "'clusterIP':'10.96.0.6','ports':[{'port':443,'protocol':'TCP'}]}}",
        "{'metadata':{'namespace':'default','name':'db'},'spec':{'clusterIP':'None','clusterIPs':['None'],"
        "'ports':[{'name':'sql','port':5432,'protocol':'TCP'}]}}",
        "{'metadata':{'namespace':'default','name':'early'},'spec':{'clusterIP':'None',"
        "'publishNotReadyAddresses':true}}",
        "{'metadata':{'namespace':'default','name':'nobody'},'spec':{'clusterIP':'None'}}",
        "{'metadata':{'namespace':'default','name':'out'},'spec':{'type':'ExternalName','externalName':'Example.org'}}",
        "{'metadata':{'namespace':'default','name':'alias'},'spec':{'type':'ExternalName',"
        "'externalName':'web.default.svc.cluster.local'}}",
        "{'metadata':{'namespace':'default','name':'circle'},'spec':{'type':'ExternalName',"
        "'externalName':'circle.default.svc.cluster.local'}}",
        "{'metadata':{'namespace':'default','name':'number'},'spec':{'type':'ExternalName',"
        "'externalName':'192.0.2.1'}}",
};
static const char *const slices[] = {
        "{'metadata':{'namespace':'default','name':'web-1','labels':{'kubernetes.io/service-name':'web'}},"
        "'addressType':'IPv4','ports':[{'name':'http','port':8080,'protocol':'TCP'}],"
        "'endpoints':[{'addresses':['10.1.0.9'],'conditions':{'ready':true}}]}",
        "{'metadata':{'namespace':'default','name':'db-1','labels':{'kubernetes.io/service-name':'db'}},"
        "'addressType':'IPv4','ports':[{'name':'sql','port':5433,'protocol':'TCP'}],"
        "'endpoints':[{'addresses':['10.1.0.1'],'hostname':'db-0','conditions':{'ready':true}},"
        "{'addresses':['10.1.0.2'],'conditions':{'ready':true}},"
        "{'addresses':['10.1.0.3'],'hostname':'db-2','conditions':{'ready':false}}]}",
        "{'metadata':{'namespace':'default','name':'db-2','labels':{'kubernetes.io/service-name':'db'}},"
        "'addressType':'IPv6','ports':[{'name':'sql','port':5433,'protocol':'TCP'}],"
        "'endpoints':[{'addresses':['fd00::1'],'hostname':'db-0'}]}",
        "{'metadata':{'namespace':'default','name':'early-1','labels':{'kubernetes.io/service-name':'early'}},"
        "'addressType':'IPv4','endpoints':[{'addresses':['10.1.0.4'],'conditions':{'ready':false}}]}",
};

static void fill(struct object_store *s, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct arena *a = arena_new(0);
                char *text = arena_strdup(a, list[i]);
                struct json *j;

                for (char *c = text; *c; c++)
                        if (*c == '\'')
                                *c = '"';
                assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
                object_store_event(s, object_new(a, j), false);
        }
}

struct world {
        struct object_store *services, *slices, *namespaces;
        struct dns_cluster cluster;
        struct dns_zone zone;
        struct arena *arena;
        bool synced;
};

static bool synced(void *userdata)
{
        return ((struct world *)userdata)->synced;
}

static int setup(void **state)
{
        struct world *w = new0(struct world);
        char text[100];

        w->arena = arena_new(0);
        w->synced = true;
        w->services = object_store_new(NULL);
        w->slices = object_store_new(NULL);
        w->namespaces = object_store_new(NULL);
        dns_cluster_init(&w->cluster, w->services, w->slices, w->namespaces);
        w->cluster.synced = synced;
        w->cluster.userdata = w;
        fill(w->services, services, ARRAY_SIZE(services));
        fill(w->slices, slices, ARRAY_SIZE(slices));
        for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
                const char *one = text;

                snprintf(text, sizeof(text), "{'metadata':{'name':'%s'}}", namespaces[i]);
                fill(w->namespaces, &one, 1);
        }
        w->zone = (struct dns_zone){ .name = dns_name_parse(w->arena, "cluster.local"), .address = "10.96.0.10",
                                     .ttl = 30, .serial = 1, .source = dns_cluster_source(&w->cluster) };
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        object_store_free(w->services);
        object_store_free(w->slices);
        object_store_free(w->namespaces);
        arena_free(w->arena);
        free(w);
        return 0;
}

static void print_rr(struct strbuf *out, const struct dns_rr *rr)
{
        char buf[DNS_TEXT_MAX], address[INET6_ADDRSTRLEN];

        switch (rr->type) {
        case DNS_A:
        case DNS_AAAA:
                inet_ntop(rr->type == DNS_A ? AF_INET : AF_INET6, rr->data, address, sizeof(address));
                strbuf_printf(out, " %s", address);
                break;
        case DNS_SRV:
                strbuf_printf(out, " %u:%u:%s", rr->data[3], rr->data[4] << 8 | rr->data[5],
                              dns_name_text(rr->data + 6, buf));
                break;
        case DNS_TXT:
                strbuf_printf(out, " \"%.*s\"", rr->data[0], rr->data + 1);
                break;
        case DNS_SOA:
                strbuf_puts(out, " SOA");
                break;
        default:
                strbuf_printf(out, " %s", dns_name_text(rr->data, buf));
        }
}

/* "NOERROR answers... / authority... + additional", or "-> name" where upstream is asked. */
static char *ask(struct world *w, uint16_t type, const char *name)
{
        struct dns_message q = { .flags = DNS_FLAG_RD, .qtype = type, .qclass = 1,
                                 .qname = dns_name_parse(w->arena, name) }, r;
        static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };
        static const char *const marks[] = { "", " /", " +" };
        struct strbuf out = STRBUF_INIT;
        const uint8_t *chase;
        char text[DNS_TEXT_MAX];
        enum dns_outcome o = dns_answer(&w->zone, w->arena, &q, 0, &r, &chase);

        if (o == DNS_FORWARD)
                return arena_strdup(w->arena, "->");
        strbuf_puts(&out, rcodes[r.rcode]);
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                for (size_t i = 0; i < r.sections[s].n; i++) {
                        if (i == 0)
                                strbuf_puts(&out, marks[s]);
                        print_rr(&out, &r.sections[s].items[i]);
                        assert_int_equal(r.sections[s].items[i].ttl, 30);
                }
        if (o == DNS_CHASE)
                strbuf_printf(&out, " -> %s", dns_name_text(chase, text));
        else
                assert_true(r.flags & DNS_FLAG_AA || r.rcode == DNS_SERVFAIL);
        strbuf_puts(&out, "");
        name = arena_strdup(w->arena, strbuf_str(&out));
        strbuf_deinit(&out);
        return (char *)name;
}

static const struct {
        uint16_t type;
        const char *name, *answer;
} rows[] = {
        /* Services */
        { DNS_A, "web.default.svc.cluster.local", "NOERROR 10.96.0.5" },
        { DNS_A, "WEB.Default.SVC.Cluster.Local", "NOERROR 10.96.0.5" },
        { DNS_AAAA, "web.default.svc.cluster.local", "NOERROR / SOA" },
        { DNS_TXT, "web.default.svc.cluster.local", "NOERROR / SOA" },
        { DNS_A, "dual.default.svc.cluster.local", "NOERROR 10.96.0.6" },
        { DNS_AAAA, "dual.default.svc.cluster.local", "NOERROR fd00::6" },
        { DNS_ANY, "dual.default.svc.cluster.local", "NOERROR 10.96.0.6 fd00::6" },
        { DNS_A, "web.empty.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "x.default.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_SRV, "_http._tcp.web.default.svc.cluster.local",
          "NOERROR 100:80:web.default.svc.cluster.local + 10.96.0.5" },
        { DNS_SRV, "_http._udp.web.default.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_SRV, "_https._tcp.web.default.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "_http._tcp.web.default.svc.cluster.local", "NOERROR / SOA" },
        { DNS_A, "_tcp.web.default.svc.cluster.local", "NOERROR / SOA" },
        { DNS_SRV, "web.default.svc.cluster.local",
          "NOERROR 50:80:web.default.svc.cluster.local 50:53:web.default.svc.cluster.local + 10.96.0.5" },
        { DNS_A, "10-1-0-9.web.default.svc.cluster.local", "NOERROR 10.1.0.9" },
        /* headless */
        { DNS_A, "db.default.svc.cluster.local", "NOERROR 10.1.0.1 10.1.0.2" },
        { DNS_AAAA, "db.default.svc.cluster.local", "NOERROR fd00::1" },
        { DNS_A, "db-0.db.default.svc.cluster.local", "NOERROR 10.1.0.1" },
        { DNS_A, "DB-0.db.default.svc.cluster.local", "NOERROR 10.1.0.1" },
        { DNS_A, "db-2.db.default.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "10-1-0-2.db.default.svc.cluster.local", "NOERROR 10.1.0.2" },
        { DNS_A, "10-1-0-1.db.default.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_SRV, "_sql._tcp.db.default.svc.cluster.local",
          "NOERROR 50:5433:db-0.db.default.svc.cluster.local 50:5433:10-1-0-2.db.default.svc.cluster.local"
          " + 10.1.0.1 10.1.0.2 fd00::1" },
        { DNS_A, "early.default.svc.cluster.local", "NOERROR 10.1.0.4" },
        { DNS_A, "nobody.default.svc.cluster.local", "NXDOMAIN / SOA" },
        /* external */
        { DNS_A, "out.default.svc.cluster.local", "NOERROR example.org -> example.org" },
        { DNS_CNAME, "out.default.svc.cluster.local", "NOERROR example.org" },
        { DNS_A, "alias.default.svc.cluster.local", "NOERROR web.default.svc.cluster.local 10.96.0.5" },
        { DNS_AAAA, "alias.default.svc.cluster.local", "NOERROR web.default.svc.cluster.local / SOA" },
        { DNS_A, "circle.default.svc.cluster.local", "SERVFAIL circle.default.svc.cluster.local" },
        { DNS_A, "number.default.svc.cluster.local", "NOERROR 192.0.2.1" },
        /* pods */
        { DNS_A, "10-1-2-3.default.pod.cluster.local", "NOERROR 10.1.2.3" },
        { DNS_AAAA, "10-1-2-3.default.pod.cluster.local", "NOERROR / SOA" },
        { DNS_AAAA, "fd00--5.default.pod.cluster.local", "NOERROR fd00::5" },
        { DNS_A, "10-1-2-3.nowhere.pod.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "10-1-2.default.pod.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "a.10-1-2-3.default.pod.cluster.local", "NXDOMAIN / SOA" },
        /* names above others */
        { DNS_A, "default.svc.cluster.local", "NOERROR / SOA" },
        { DNS_A, "nowhere.svc.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "svc.cluster.local", "NOERROR / SOA" },
        { DNS_A, "cluster.local", "NOERROR / SOA" },
        { DNS_SOA, "cluster.local", "NOERROR SOA" },
        { DNS_NS, "cluster.local", "NOERROR ns.dns.cluster.local + 10.96.0.10" },
        { DNS_A, "ns.dns.cluster.local", "NOERROR 10.96.0.10" },
        { DNS_TXT, "dns-version.cluster.local", "NOERROR \"1.1.0\"" },
        { DNS_A, "web.default.cluster.local", "NXDOMAIN / SOA" },
        { DNS_A, "a.b.c.web.default.svc.cluster.local", "NXDOMAIN / SOA" },
        /* addresses */
        { DNS_PTR, "5.0.96.10.in-addr.arpa", "NOERROR web.default.svc.cluster.local" },
        { DNS_PTR, "1.0.1.10.in-addr.arpa", "NOERROR db-0.db.default.svc.cluster.local" },
        { DNS_PTR, "2.0.1.10.IN-ADDR.arpa", "NOERROR 10-1-0-2.db.default.svc.cluster.local" },
        { DNS_PTR, "3.0.1.10.in-addr.arpa", "->" },
        { DNS_A, "5.0.96.10.in-addr.arpa", "NOERROR / SOA" },
        { DNS_PTR, "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
          "NOERROR dual.default.svc.cluster.local" },
        { DNS_PTR, "8.8.8.8.in-addr.arpa", "->" },
        { DNS_PTR, "999.0.96.10.in-addr.arpa", "->" },
        /* others' */
        { DNS_A, "example.org", "->" },
        { DNS_A, "xcluster.local", "->" },
        { DNS_A, "", "->" },
};

static void test_rows(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *is = ask(*state, rows[i].type, rows[i].name);

                if (!streq(is, rows[i].answer))
                        fail_msg("%s: \"%s\", not \"%s\"", rows[i].name, is, rows[i].answer);
        }
}

static void test_turns(void **state)
{
        struct world *w = *state;

        w->zone.turn = 1;
        assert_string_equal(ask(w, DNS_A, "db.default.svc.cluster.local"), "NOERROR 10.1.0.2 10.1.0.1");
}

static void test_not_ready(void **state)
{
        struct world *w = *state;

        w->synced = false;
        assert_string_equal(ask(w, DNS_A, "web.default.svc.cluster.local"), "SERVFAIL");
        assert_string_equal(ask(w, DNS_PTR, "5.0.96.10.in-addr.arpa"), "SERVFAIL");
        assert_string_equal(ask(w, DNS_A, "example.org"), "->");
}

/* What is no query that we answer. */
static void test_refusals(void **state)
{
        struct world *w = *state;
        const struct {
                uint16_t flags, class, type;
                int read, version, rcode;
        } cases[] = {
                { 2 << 11, 1, DNS_A, 0, 0, DNS_NOTIMP },
                { 0, 3, DNS_TXT, 0, 0, DNS_REFUSED },
                { 0, 1, DNS_AXFR, 0, 0, DNS_REFUSED },
                { 0, 1, DNS_A, DNS_FORMERR, 0, DNS_FORMERR },
                { 0, 1, DNS_A, 0, 1, DNS_BADVERS },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct dns_message q = { .flags = cases[i].flags, .qtype = cases[i].type, .qclass = cases[i].class,
                                         .qname = w->zone.name, .edns = true,
                                         .edns_version = (uint8_t)cases[i].version }, r;
                const uint8_t *chase;

                assert_int_equal(dns_answer(&w->zone, w->arena, &q, cases[i].read, &r, &chase), DNS_ANSWERED);
                assert_int_equal(r.rcode, cases[i].rcode);
                assert_true(r.flags & DNS_FLAG_QR);
        }
}

static void test_chased(void **state)
{
        struct world *w = *state;
        struct dns_message q = { .qtype = DNS_A, .qclass = 1,
                                 .qname = dns_name_parse(w->arena, "out.default.svc.cluster.local") }, r, up;
        struct dns_rr rr = { dns_name_parse(w->arena, "example.org"), DNS_A, 1, 9, 4, (const uint8_t *)"\1\2\3\4" };
        const uint8_t *chase;

        assert_int_equal(dns_answer(&w->zone, w->arena, &q, 0, &r, &chase), DNS_CHASE);
        up = (struct dns_message){ .qname = rr.name, .qtype = DNS_A, .qclass = 1 };
        dns_message_add(w->arena, &up, DNS_ANSWER, rr);
        dns_answer_chased(w->arena, &r, &up);
        assert_int_equal(r.rcode, 0);
        assert_int_equal(r.sections[DNS_ANSWER].n, 2);
        assert_true(dns_name_equal(r.sections[DNS_ANSWER].items[1].name, chase));
        assert_true(dns_name_equal(r.qname, q.qname));
        dns_answer_chased(w->arena, &r, NULL);
        assert_int_equal(r.rcode, DNS_SERVFAIL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
                cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_ready, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
                cmocka_unit_test_setup_teardown(test_chased, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
