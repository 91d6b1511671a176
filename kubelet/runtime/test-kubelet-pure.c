/* The pure parts of runtime, images, network and volumes: tables of input and what must come out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../images/reference.h"
#include "../network/dns.h"
#include "../network/network.h"
#include "../volumes/downward.h"
#include "cgroup.h"
#include "oci.h"
#include "passwd.h"
#include "translate.h"

static const char digest[] = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void references(void **state)
{
        static const struct {
                const char *in, *out;
        } cases[] = {
                { "busybox", "docker.io/library/busybox:latest" },
                { "user/app:1", "docker.io/user/app:1" },
                { "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest" },
                { "registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9" },
                { "localhost/x", "localhost/x:latest" },
                { "a__b/c--d", "docker.io/a__b/c--d:latest" },
                { "Busy_Box:::1", NULL }, { "", NULL }, { "a:", NULL }, { "a/../b", NULL }, { "a//b", NULL },
                { "-a", NULL }, { "a:b:c", NULL }, { "x@sha256:12", NULL }, { "a___b", NULL },
        };
        struct arena *a = arena_new(0);
        struct image_reference ref;
        struct error err = ERROR_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                int r = image_reference_parse(a, cases[i].in, &ref, &err);
                assert_int_equal(r == 0, cases[i].out != NULL);
                if (!r)
                        assert_string_equal(image_reference_print(a, &ref), cases[i].out);
        }
        assert_int_equal(image_reference_parse(a, arena_printf(a, "x:1%s", digest), &ref, &err), 0);
        assert_string_equal(image_reference_print(a, &ref), arena_printf(a, "docker.io/library/x%s", digest));
        assert_true(image_reference_parse(a, "Busy_Box:::1", &ref, &err) < 0);
        assert_string_equal(err.message, "couldn't parse image name \"Busy_Box:::1\": invalid reference format: "
                                         "repository name (library/Busy_Box) must be lowercase");
        error_deinit(&err);
        arena_free(a);
}

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static void resolv_conf(void **state)
{
        struct arena *a = arena_new(0);
        const char *dns[] = { "10.96.0.10", NULL };
        struct dns_settings s = { .cluster_dns = dns, .cluster_domain = "cluster.local",
                                  .host_resolv_conf = "nameserver 1.1.1.1\nsearch lan\n" };

        assert_string_equal(dns_resolv_conf(a, parse(a, "{\"metadata\":{\"namespace\":\"n\"},\"spec\":{}}"), &s, NULL, NULL),
                            "search n.svc.cluster.local svc.cluster.local cluster.local lan\nnameserver 10.96.0.10\n"
                            "options ndots:5\n");
        assert_string_equal(dns_resolv_conf(a, parse(a, "{\"spec\":{\"dnsPolicy\":\"Default\"}}"), &s, NULL, NULL),
                            "search lan\nnameserver 1.1.1.1\n");
        assert_string_equal(dns_resolv_conf(a, parse(a, "{\"spec\":{\"dnsPolicy\":\"None\",\"dnsConfig\":{\"nameservers\":"
                                                        "[\"9.9.9.9\"],\"options\":[{\"name\":\"ndots\",\"value\":\"2\"}]}}}"),
                                            &s, NULL, NULL),
                            "nameserver 9.9.9.9\noptions ndots:2\n");
        arena_free(a);
}

static void identities(void **state)
{
        static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
        static const char group[] = "root:x:0:\nstaff:x:50:app\n";
        struct arena *a = arena_new(0);
        struct passwd_identity id;
        struct passwd_request q = { .image_user = "app", .user = -1, .group = -1 };
        struct error err = ERROR_INIT;

        assert_int_equal(passwd_resolve(a, &q, passwd, group, &id, &err), 0);
        assert_int_equal(id.uid, 1000);
        assert_int_equal(id.gid, 1001);
        assert_int_equal(id.n_groups, 2);
        q.image_user = "app:staff";
        assert_int_equal(passwd_resolve(a, &q, passwd, group, &id, &err), 0);
        assert_int_equal(id.gid, 50);
        q.image_user = "nobody-here";
        assert_true(passwd_resolve(a, &q, passwd, group, &id, &err) < 0);
        q = (struct passwd_request){ .image_user = "app", .user = 7, .group = -1 };
        assert_int_equal(passwd_resolve(a, &q, passwd, group, &id, &err), 0);
        assert_int_equal(id.uid, 7);
        assert_int_equal(id.gid, 0);
        error_deinit(&err);
        arena_free(a);
}

static void capabilities(void **state)
{
        const char *const all[] = { "ALL", NULL }, *const bind[] = { "NET_BIND_SERVICE", NULL };
        struct runtime_security s = { .cap_drop = all, .cap_add = bind };
        uint64_t set;

        assert_int_equal(oci_capabilities(&s, UINT64_MAX, &set, NULL), 0);
        assert_true(set == UINT64_C(1) << oci_capability("NET_BIND_SERVICE"));
        s = (struct runtime_security){ .cap_add = all };
        assert_int_equal(oci_capabilities(&s, 0xff, &set, NULL), 0);
        assert_true(set == 0xff);
        s = (struct runtime_security){ .cap_add = (const char *const[]){ "NO_SUCH", NULL } };
        assert_true(oci_capabilities(&s, UINT64_MAX, &set, NULL) < 0);
}

static void cni_results(void **state)
{
        static const char good[] = "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.5/24\",\"gateway\":\"10.0.0.1\"}]}";
        static const char old[] = "{\"ip4\":{\"ip\":\"10.0.0.6/24\"}}", bad[] = "{\"ips\":[{\"address\":\"x\"}]}";
        struct arena *a = arena_new(0);
        struct network_result r;

        assert_int_equal(network_parse_result(a, good, strlen(good), &r, NULL), 0);
        assert_string_equal(r.ips[0], "10.0.0.5");
        assert_int_equal(network_parse_result(a, old, strlen(old), &r, NULL), 0);
        assert_string_equal(r.ips[0], "10.0.0.6");
        assert_true(network_parse_result(a, bad, strlen(bad), &r, NULL) < 0);
        arena_free(a);
}

static void cgroup_layouts(void **state)
{
        struct cgroup_system s;

        assert_int_equal(cgroup_detect_from("1 2 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", &s, NULL), 0);
        assert_true(s.v2);
        assert_int_equal(cgroup_detect_from("1 2 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                            "1 2 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", &s, NULL), 0);
        assert_false(s.v2);
        assert_int_equal(s.n, 2);
        assert_true(cgroup_detect_from("", &s, NULL) < 0);
        assert_int_equal(cgroup_weight_from_shares(2), 1);
        assert_int_equal(cgroup_weight_from_shares(262144), 10000);
        assert_int_equal(translate_cpu_shares(1000), 1024);
        assert_int_equal(translate_cpu_quota(500, 100000), 50000);
}

static void downward_values(void **state)
{
        struct arena *a = arena_new(0);
        struct json *pod = parse(a, "{\"metadata\":{\"name\":\"p\",\"labels\":{\"b\":\"2\",\"a\":\"1\"}},\"spec\":{\"containers\":"
                                    "[{\"name\":\"c\",\"resources\":{\"limits\":{\"cpu\":\"1500m\"}}}]}}");
        char *v;

        assert_int_equal(downward_field(a, pod, "metadata.labels", &v, NULL), 0);
        assert_string_equal(v, "a=\"1\"\nb=\"2\"");
        assert_int_equal(downward_field(a, pod, "metadata.labels['b']", &v, NULL), 0);
        assert_string_equal(v, "2");
        assert_true(downward_field(a, pod, "spec.nope", &v, NULL) < 0);
        assert_int_equal(downward_resource(a, pod, NULL, parse(a, "{\"containerName\":\"c\",\"resource\":\"limits.cpu\"}"), NULL,
                                           &v, NULL), 0);
        assert_string_equal(v, "2");
        arena_free(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(references), cmocka_unit_test(resolv_conf), cmocka_unit_test(identities),
                cmocka_unit_test(capabilities), cmocka_unit_test(cni_results), cmocka_unit_test(cgroup_layouts),
                cmocka_unit_test(downward_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
