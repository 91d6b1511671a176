/* What a Service becomes, as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "conntrack.h"
#include "host.h"
#include "rules.h"

static const struct rules_options options = {
        .table = "t", .cluster_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/12", .dns_ip = "10.96.0.10",
};

static struct json *parse(struct arena *a, const char *text)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *j;

        if (json_parse(a, text, strlen(text), NULL, &j, &err) < 0)
                fail_msg("%s in %s", error_text(&err), text);
        return j;
}

static struct service *read_service(struct arena *a, const char *spec, const char *const *slices)
{
        const struct json *trees[8];
        size_t n = 0;
        char *text = arena_printf(a, "{\"metadata\":{\"namespace\":\"d\",\"name\":\"web\"},%s}", spec);

        for (; slices && slices[n]; n++)
                trees[n] = parse(a, slices[n]);
        return service_parse(a, parse(a, text), trees, n, "here");
}

static int by_line(const void *x, const void *y)
{
        return strcmp(*(char *const *)x, *(char *const *)y);
}

/* The lines of TEXT in order, without doubles. */
static char *sorted(struct arena *a, const char *text)
{
        char **lines = arena_alloc(a, (strlen(text) + 1) * sizeof(*lines)), *copy = arena_strdup(a, text), *save = NULL;
        char *ret = arena_strdup(a, "");
        size_t n = 0;

        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                lines[n++] = line;
        qsort(lines, n, sizeof(*lines), by_line);
        for (size_t i = 0; i < n; i++)
                if (!i || !streq(lines[i], lines[i - 1]))
                        ret = arena_printf(a, "%s%s\n", ret, lines[i]);
        return ret;
}

/* "chain NAME = rule|rule", "set NAME = declaration", "MAP KEY : VALUE|VALUE". */
static char *dump(struct arena *a, const struct rules *r)
{
        static const char *const kinds[] = { "set ", "chain ", "", "" }, *const between[] = { " = ", " = ", " : ", " : " };
        char *text = arena_strdup(a, "");

        for (size_t i = 0; i < r->n; i++) {
                const struct rule *rule = &r->items[i];
                char *body = arena_strdup(a, rule->body);
                size_t len = strlen(body);

                if (rule->kind == RULE_CHAIN || rule->kind == RULE_LIST) {
                        assert_true(len && body[len - 1] == '\n');
                        body[len - 1] = '\0';
                }
                for (char *c = body; *c; c++)
                        if (*c == '\n')
                                *c = '|';
                text = arena_printf(a, "%s%s%s%s%s\n", text, kinds[rule->kind], rule->name,
                                    *body ? between[rule->kind] : "", body);
        }
        return sorted(a, text);
}

#define SLICE(ports, endpoints)                                                                    \
        "{\"addressType\":\"IPv4\",\"ports\":[" ports "],\"endpoints\":[" endpoints "]}"
#define TCP8080 "{\"name\":\"\",\"port\":8080,\"protocol\":\"TCP\"}"
#define AT(ip, node) "{\"addresses\":[\"" ip "\"],\"conditions\":{\"ready\":true},\"nodeName\":\"" node "\"}"
#define TERMINATING(ip, node)                                                                      \
        "{\"addresses\":[\"" ip "\"],\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}," \
        "\"nodeName\":\"" node "\"}"
#define NOT_READY(ip) "{\"addresses\":[\"" ip "\"],\"conditions\":{\"ready\":false}}"
#define PORT80 "\"ports\":[{\"port\":80}]"
#define DNAT(proto, key, n, map)                                                                   \
        "meta l4proto " proto " dnat ip addr . port to " key " . numgen random mod " n " map @" map "\n"
#define LB(proto, n)                                                                               \
        "chain lb/" proto "/" n " = " DNAT(proto, "ip daddr . " proto " dport", n, proto "-endpoints")
#define NODE_LB(proto, n)                                                                          \
        "chain node-lb/" proto "/" n " = " DNAT(proto, proto " dport", n, "node-" proto "-endpoints")
#define SPEC(more) "\"spec\":{\"clusterIP\":\"10.96.1.1\"," more "}"

static const struct {
        const char *what, *spec;
        const char *slices[4];
        const char *expected; /* NULL: not for the proxy */
} cases[] = {
        { "headless", "\"spec\":{\"clusterIP\":\"None\"," PORT80 "}", { NULL }, NULL },
        { "ExternalName", "\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x\"}", { NULL }, NULL },
        { "no endpoints", SPEC(PORT80), { NULL }, "no-endpoints 10.96.1.1 . tcp . 80 : goto refuse\n" },
        { "one endpoint, elsewhere", SPEC(PORT80), { SLICE(TCP8080, AT("10.244.1.5", "there")) },
          LB("tcp", "1")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 8080\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "several slices, a double, one not ready", SPEC(PORT80),
          { SLICE(TCP8080, AT("10.244.0.6", "here") "," AT("10.244.1.5", "there")),
            SLICE(TCP8080, NOT_READY("10.244.0.7") "," AT("10.244.1.5", "there")) },
          LB("tcp", "2")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.0.6 . 8080|10.244.1.5 . 8080\n"
          "hairpin 10.244.0.6 . 10.244.0.6\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/2\n" },
        { "terminating ones serve when nothing else does", SPEC(PORT80),
          { SLICE(TCP8080, TERMINATING("10.244.1.5", "there") "," NOT_READY("10.244.0.7")) },
          LB("tcp", "1")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 8080\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "but not beside a ready one", SPEC(PORT80),
          { SLICE(TCP8080, TERMINATING("10.244.1.5", "there") "," AT("10.244.1.6", "there")) },
          LB("tcp", "1")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.6 . 8080\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "ports by name and protocol",
          SPEC("\"ports\":[{\"name\":\"a\",\"port\":80},{\"name\":\"b\",\"port\":80,\"protocol\":\"UDP\"}]"),
          { SLICE("{\"name\":\"b\",\"port\":53,\"protocol\":\"UDP\"},{\"name\":\"a\",\"port\":53,\"protocol\":\"UDP\"}",
                  AT("10.244.1.5", "there")) },
          LB("udp", "1")
          "udp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 53\n"
          "no-endpoints 10.96.1.1 . tcp . 80 : goto refuse\n"
          "services 10.96.1.1 . udp . 80 : goto lb/udp/1\n" },
        { "IPv6 is not for this table", SPEC(PORT80),
          { "{\"addressType\":\"IPv6\",\"ports\":[" TCP8080 "],\"endpoints\":[" AT("fd00::1", "here") "]}" },
          "no-endpoints 10.96.1.1 . tcp . 80 : goto refuse\n" },
        { "node port", SPEC("\"ports\":[{\"port\":80,\"nodePort\":30080}]"), { SLICE(TCP8080, AT("10.244.1.5", "there")) },
          LB("tcp", "1")
          "chain node-ext/tcp/1 = meta mark set meta mark or 0x4000|goto node-lb/tcp/1\n"
          NODE_LB("tcp", "1")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 8080\n"
          "node-tcp-endpoints 30080 : 10.244.1.5 . 8080\n"
          "nodeports tcp . 30080 : goto node-ext/tcp/1\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "node port without endpoints", SPEC("\"externalIPs\":[\"1.2.3.4\"],\"ports\":[{\"port\":80,\"nodePort\":30080}]"),
          { NULL },
          "no-endpoint-nodeports tcp . 30080 : goto refuse\n"
          "no-endpoints 1.2.3.4 . tcp . 80 : goto refuse\n"
          "no-endpoints 10.96.1.1 . tcp . 80 : goto refuse\n" },
        { "external policy Local", SPEC("\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"port\":80,\"nodePort\":30080}]"),
          { SLICE(TCP8080, AT("10.244.0.6", "here") "," AT("10.244.1.5", "there")) },
          LB("tcp", "2")
          "chain node-ext-local/tcp/2/1 = ip saddr 10.244.0.0/16 goto node-lb/tcp/2|"
          "fib saddr type local meta mark set meta mark or 0x4000 goto node-lb/tcp/2|"
          "meta l4proto tcp dnat ip addr . port to tcp dport "
          ". numgen random mod 1 offset 2 map @node-tcp-endpoints\n"
          NODE_LB("tcp", "2")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.0.6 . 8080|10.244.1.5 . 8080\n"
          "hairpin 10.244.0.6 . 10.244.0.6\n"
          "node-tcp-endpoints 30080 : 10.244.0.6 . 8080|10.244.1.5 . 8080|10.244.0.6 . 8080\n"
          "nodeports tcp . 30080 : goto node-ext-local/tcp/2/1\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/2\n" },
        { "external policy Local, a node's last one terminates",
          SPEC("\"externalTrafficPolicy\":\"Local\",\"ports\":[{\"port\":80,\"nodePort\":30080}]"),
          { SLICE(TCP8080, TERMINATING("10.244.0.6", "here") "," AT("10.244.1.5", "there")) },
          LB("tcp", "1")
          "chain node-ext-local/tcp/1/1 = ip saddr 10.244.0.0/16 goto node-lb/tcp/1|"
          "fib saddr type local meta mark set meta mark or 0x4000 goto node-lb/tcp/1|"
          "meta l4proto tcp dnat ip addr . port to tcp dport "
          ". numgen random mod 1 offset 1 map @node-tcp-endpoints\n"
          NODE_LB("tcp", "1")
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 8080\n"
          "hairpin 10.244.0.6 . 10.244.0.6\n"
          "node-tcp-endpoints 30080 : 10.244.1.5 . 8080|10.244.0.6 . 8080\n"
          "nodeports tcp . 30080 : goto node-ext-local/tcp/1/1\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "external policy Local, none here", SPEC("\"externalTrafficPolicy\":\"Local\",\"externalIPs\":[\"1.2.3.4\"]," PORT80),
          { SLICE(TCP8080, AT("10.244.1.5", "there")) },
          "chain ext-local/tcp/1/0 = ip saddr 10.244.0.0/16 goto lb/tcp/1|"
          "fib saddr type local meta mark set meta mark or 0x4000 goto lb/tcp/1|"
          "drop\n"
          LB("tcp", "1")
          "tcp-endpoints 1.2.3.4 . 80 : 10.244.1.5 . 8080\n"
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 8080\n"
          "services 1.2.3.4 . tcp . 80 : goto ext-local/tcp/1/0\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "internal policy Local, none here", SPEC("\"internalTrafficPolicy\":\"Local\"," PORT80),
          { SLICE(TCP8080, AT("10.244.1.5", "there")) },
          "no-endpoints 10.96.1.1 . tcp . 80 : drop\n" },
        { "balancer with ranges, one of them nonsense",
          SPEC("\"loadBalancerSourceRanges\":[\"9.0.0.0/8\",\"} ; flush ruleset\"]," PORT80)
          ",\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.2.3.4\"},{\"ip\":\"1.2.3.5\",\"ipMode\":\"Proxy\"}]}}",
          { SLICE(TCP8080, AT("10.244.1.5", "there")) },
          "chain ext/tcp/1 = meta mark set meta mark or 0x4000|goto lb/tcp/1\n"
          "chain from/d/web/tcp/80 = ip saddr 9.0.0.0/8 goto ext/tcp/1|fib saddr type local goto ext/tcp/1|drop\n"
          LB("tcp", "1")
          "tcp-endpoints 1.2.3.4 . 80 : 10.244.1.5 . 8080\n"
          "tcp-endpoints 10.96.1.1 . 80 : 10.244.1.5 . 8080\n"
          "services 1.2.3.4 . tcp . 80 : goto from/d/web/tcp/80\n"
          "services 10.96.1.1 . tcp . 80 : goto lb/tcp/1\n" },
        { "affinity",
          SPEC("\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":60}}," PORT80),
          { SLICE(TCP8080, AT("10.244.1.5", "there") "," AT("10.244.1.6", "there")) },
          "chain ep/d/web/tcp/80/10.244.1.5/8080 = update @aff/60s/d/web/tcp/80/10.244.1.5/8080 { ip saddr }|"
          "meta l4proto tcp dnat to 10.244.1.5:8080\n"
          "chain ep/d/web/tcp/80/10.244.1.6/8080 = update @aff/60s/d/web/tcp/80/10.244.1.6/8080 { ip saddr }|"
          "meta l4proto tcp dnat to 10.244.1.6:8080\n"
          "chain svc/d/web/tcp/80 = "
          "ip saddr @aff/60s/d/web/tcp/80/10.244.1.5/8080 goto ep/d/web/tcp/80/10.244.1.5/8080|"
          "ip saddr @aff/60s/d/web/tcp/80/10.244.1.6/8080 goto ep/d/web/tcp/80/10.244.1.6/8080|"
          "numgen random mod 2 vmap { 0 : goto ep/d/web/tcp/80/10.244.1.5/8080, "
          "1 : goto ep/d/web/tcp/80/10.244.1.6/8080 }\n"
          "services 10.96.1.1 . tcp . 80 : goto svc/d/web/tcp/80\n"
          "set aff/60s/d/web/tcp/80/10.244.1.5/8080 = type ipv4_addr; flags dynamic,timeout; timeout 60s;\n"
          "set aff/60s/d/web/tcp/80/10.244.1.6/8080 = type ipv4_addr; flags dynamic,timeout; timeout 60s;\n" },
        { "dual stack: the IPv4 half", "\"spec\":{\"clusterIP\":\"fd00::1\",\"clusterIPs\":[\"fd00::1\",\"10.96.1.1\"]," PORT80 "}",
          { NULL }, "no-endpoints 10.96.1.1 . tcp . 80 : goto refuse\n" },
        { "addresses that are none", SPEC("\"externalIPs\":[\"1.2.3.4 }\",\"\",\"fd00::1\"]," PORT80),
          { SLICE(TCP8080, AT("1.2.3", "here") "," AT("10.244.1.5; flush ruleset", "here")) },
          "no-endpoints 10.96.1.1 . tcp . 80 : goto refuse\n" },
};

static void test_services(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct rules rules = { .arena = a };
                struct service *s = read_service(a, cases[i].spec, cases[i].slices);
                char *got;

                if (!s != !cases[i].expected)
                        fail_msg("%s: %s", cases[i].what, s ? "taken" : "not taken");
                if (!s)
                        continue;
                rules_service(&options, s, &rules);
                got = dump(a, &rules);
                if (!streq(got, sorted(a, cases[i].expected)))
                        fail_msg("%s:\n%s\nwanted:\n%s", cases[i].what, got, cases[i].expected);
                rules_deinit(&rules);
        }
}

static void test_names_are_checked(void **state)
{
        static const char *const objects[] = {
                "{\"metadata\":{\"namespace\":\"d\",\"name\":\"x { }\"},\"spec\":{\"clusterIP\":\"10.96.1.1\"}}",
                "{\"metadata\":{\"namespace\":\"\",\"name\":\"x\"},\"spec\":{\"clusterIP\":\"10.96.1.1\"}}",
                "{\"metadata\":{\"namespace\":\"d\"},\"spec\":{\"clusterIP\":\"10.96.1.1\"}}",
                "{\"metadata\":{\"namespace\":\"d\",\"name\":\"x\",\"labels\":{\"service.kubernetes.io/service-proxy-name\":"
                "\"other\"}},\"spec\":{\"clusterIP\":\"10.96.1.1\"}}",
                "[]",
        };

        for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                assert_null(service_parse(a, parse(a, objects[i]), NULL, 0, "here"));
        }
}

static void test_cidr(void **state)
{
        static const char *const good[] = { "10.96.0.0/12", "0.0.0.0/0", "1.2.3.4/32" };
        static const char *const bad[] = { "", "10.96.0.0", "10.96.0.0/", "10.96.0.0/33", "10.96.0.0/-1", "10.96.0.0/1x",
                                           "10.96.0/12", "fd00::/8", "1.2.3.4/ 8", "1111111111111111111111/8" };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(service_is_cidr(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(service_is_cidr(bad[i]));
        assert_false(service_is_cidr(NULL));
}

static void test_frame_without_bridge_filter(void **state)
{
        struct rules_options o = options;
        _cleanup_strbuf_ struct strbuf with = STRBUF_INIT, without = STRBUF_INIT;
        const char *rule = "ct status dnat ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade\n";

        rules_frame(&o, &with);
        o.bridge_unfiltered = true;
        rules_frame(&o, &without);
        assert_null(strstr(strbuf_str(&with), rule));
        assert_non_null(strstr(strbuf_str(&without), rule));
}

static void test_interface_names(void **state)
{
        char a[HOST_INTERFACE_BUF], b[HOST_INTERFACE_BUF];

        host_interface_name("colibri", a);
        assert_string_equal(a, "colibri-svc");
        host_interface_name("colibri-0a1b2c-long", a);
        host_interface_name("colibri-0a1b2d-long", b);
        assert_true(strlen(a) < HOST_INTERFACE_BUF);
        assert_string_not_equal(a, b);
}

/* --- what the kernel is to forget --- */

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define UDP53 "\"ports\":[{\"port\":53,\"protocol\":\"UDP\",\"nodePort\":30053},{\"name\":\"t\",\"port\":80}]"
#define UDP5353 "{\"name\":\"\",\"port\":5353,\"protocol\":\"UDP\"}"

static void test_stale_flows(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *before[] = { SLICE(UDP5353, AT("10.244.1.5", "there") "," AT("10.244.1.6", "there")), NULL };
        const char *after[] = { SLICE(UDP5353, AT("10.244.1.6", "there")), NULL };
        uint64_t five = conntrack_endpoint(IP(10, 244, 1, 5), 5353), six = conntrack_endpoint(IP(10, 244, 1, 6), 5353);
        struct conntrack_flows old, new, gone, batch = { 0 }, last = { 0 };

        conntrack_flows_of(read_service(a, SPEC(UDP53), before), &old);
        conntrack_flows_of(read_service(a, SPEC(UDP53), after), &new);
        conntrack_flows_of(NULL, &gone);
        assert_int_equal(old.n, 2); /* the cluster's address and the node port; nothing of TCP */
        assert_true(conntrack_flows_equal(&old, &old));
        assert_false(conntrack_flows_equal(&old, &new));
        assert_false(conntrack_flows_equal(&old, &gone));

        conntrack_flows_changed(&old, &new, &batch);
        assert_true(conntrack_is_stale(&batch, IP(10, 96, 1, 1), 53, five));
        assert_false(conntrack_is_stale(&batch, IP(10, 96, 1, 1), 53, six));
        assert_true(conntrack_is_stale(&batch, IP(192, 0, 2, 1), 30053, five));
        assert_false(conntrack_is_stale(&batch, IP(192, 0, 2, 1), 30053, six));
        assert_false(conntrack_is_stale(&batch, IP(10, 96, 1, 2), 53, five));
        /* another port of the same endpoint address is another endpoint */
        assert_true(conntrack_is_stale(&batch, IP(10, 96, 1, 1), 53, six + 1));

        conntrack_flows_changed(&new, &gone, &last);
        assert_true(conntrack_is_stale(&last, IP(10, 96, 1, 1), 53, six));
        conntrack_flows_deinit(&old);
        conntrack_flows_deinit(&new);
        conntrack_flows_deinit(&gone);
        conntrack_flows_deinit(&batch);
        conntrack_flows_deinit(&last);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_services),
                cmocka_unit_test(test_names_are_checked),
                cmocka_unit_test(test_cidr),
                cmocka_unit_test(test_frame_without_bridge_filter),
                cmocka_unit_test(test_interface_names),
                cmocka_unit_test(test_stale_flows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
