/* The Node authorizer: a kubelet reads what the pods bound to its node need, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../../lib/loop/fiber.h"
#include "../storage/etcd-for-tests.h"
#include "internal.h"

static struct test_etcd etcd;
static struct loop *loop;
static struct store *store;
static struct node_graph *graph;
static struct arena *a;

static const char *const nodes_group[] = { "system:nodes", "system:authenticated", NULL };
static const struct user_info kubelet = { .name = "system:node:n1", .uid = "", .groups = nodes_group };

/* "VERB GROUP/RESOURCE[/SUBRESOURCE] NAMESPACE/NAME [FIELD SELECTOR]", "-" for what is empty. */
static bool may(const char *text)
{
        char verb[32] = "", group[64] = "", resource[64] = "", sub[32] = "", ns[64] = "", name[64] = "", selector[64] = "";
        struct authz_attributes at = { .user = &kubelet, .verb = verb, .group = group, .version = "v1", .namespace = ns,
                                       .resource = resource, .subresource = sub, .name = name, .is_resource = true,
                                       .field_selector = selector };
        char *parts[] = { group, resource, sub, ns, name };
        const char *why = "";

        if (sscanf(text, "%31s %63[^/]/%63[^/ ]/%31s %63[^/]/%63s %63s", verb, group, resource, sub, ns, name, selector) < 6) {
                *sub = '\0';
                if (sscanf(text, "%31s %63[^/]/%63s %63[^/]/%63s %63s", verb, group, resource, ns, name, selector) < 5)
                        fail_msg("%s", text);
        }
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (streq(parts[i], "-"))
                        *parts[i] = '\0';
        return node_authorize(graph, a, &at, &why) == AUTHZ_ALLOW;
}

static void put(const char *name, const char *node, const char *secret)
{
        const char *text = arena_printf(a,
                                        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"ns\"},"
                                        "\"spec\":{\"nodeName\":\"%s\",\"serviceAccountName\":\"sa\",\"imagePullSecrets\":[{\"name\":\"pull\"}],"
                                        "\"containers\":[{\"name\":\"c\",\"env\":[{\"name\":\"E\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"env\","
                                        "\"key\":\"k\"}}}],\"envFrom\":[{\"configMapRef\":{\"name\":\"from\"}}]}],"
                                        "\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"%s\"}},"
                                        "{\"name\":\"w\",\"persistentVolumeClaim\":{\"claimName\":\"claim\"}}]}}", name, node, secret);
        struct json *j = NULL;
        struct entry *e = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        assert_int_equal(store_put(store, builtin_resource("", "v1", "pods"), arena_printf(a, "/registry/pods/ns/%s", name), j, 0,
                                   &e, NULL), 0);
        entry_unref(e);
        assert_int_equal(store_sync(store, NULL), 0);
}

static void relations(void *userdata)
{
        put("mine", "n1", "mounted");
        put("other", "n2", "foreign");
        /* What the pod here names, by its name, in its namespace, to read. */
        assert_true(may("get -/secrets ns/mounted"));
        assert_true(may("watch -/secrets ns/mounted"));
        assert_true(may("get -/secrets ns/env"));
        assert_true(may("get -/secrets ns/pull"));
        assert_true(may("get -/configmaps ns/from"));
        assert_true(may("get -/persistentvolumeclaims ns/claim"));
        assert_true(may("create -/serviceaccounts/token ns/sa"));
        assert_true(may("get -/pods ns/mine"));
        assert_false(may("get -/secrets ns/foreign")); /* of a pod elsewhere */
        assert_false(may("get -/secrets other/mounted"));
        assert_false(may("get -/configmaps ns/mounted"));
        assert_false(may("list -/secrets ns/-"));
        assert_false(may("update -/secrets ns/mounted"));
        assert_false(may("list -/persistentvolumeclaims ns/claim"));
        assert_false(may("create -/serviceaccounts/token ns/default"));
        assert_false(may("get -/pods ns/other"));
        /* With the pod its references go. */
        assert_int_equal(store_delete(store, builtin_resource("", "v1", "pods"), "/registry/pods/ns/mine",
                                      store_get(store, "/registry/pods/ns/mine")->revision, NULL, NULL), 0);
        assert_int_equal(store_sync(store, NULL), 0);
        assert_false(may("get -/secrets ns/mounted"));
}

static void rules(void *userdata)
{
        static const char *const allowed[] = {
                "list -/pods -/- spec.nodeName=n1", "create -/pods ns/-", "update -/pods/status ns/x", "create -/pods/eviction ns/x",
                "get -/nodes -/n1", "watch -/nodes -/n1", "create -/nodes -/-", "patch -/nodes/status -/n1",
                "get coordination.k8s.io/leases kube-node-lease/n1", "create coordination.k8s.io/leases kube-node-lease/-",
                "list -/services -/-", "create -/events ns/-", "create authentication.k8s.io/tokenreviews -/-",
                "create certificates.k8s.io/certificatesigningrequests -/-", "update storage.k8s.io/csinodes -/n1",
                "create resource.k8s.io/resourceslices -/-", "list resource.k8s.io/resourceslices -/- spec.nodeName=n1",
        };
        static const char *const refused[] = {
                "list -/pods -/-", "list -/pods -/- spec.nodeName=n2", "update -/pods ns/x", "create -/pods/exec ns/x",
                "get -/nodes -/n2", "list -/nodes -/-", "delete -/nodes -/n1", "create -/nodes/proxy -/n1",
                "get coordination.k8s.io/leases kube-node-lease/n2", "get coordination.k8s.io/leases kube-system/n1",
                "list coordination.k8s.io/leases kube-node-lease/-", "delete -/services ns/x", "get -/events ns/x",
                "update storage.k8s.io/csinodes -/n2", "get apps/deployments ns/x", "create -/services ns/-",
                "list resource.k8s.io/resourceslices -/-", "list resource.k8s.io/resourceslices -/- spec.nodeName=n2",
                "get resource.k8s.io/resourceslices -/s", "get -/persistentvolumeclaims/status ns/claim",
        };

        for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
                if (!may(allowed[i]))
                        fail_msg("refused: %s", allowed[i]);
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                if (may(refused[i]))
                        fail_msg("allowed: %s", refused[i]);
}

static void test_identity(void **state)
{
        static const char *const none[] = { "system:authenticated", NULL };

        assert_string_equal(node_identity(&kubelet), "n1");
        assert_null(node_identity(&(struct user_info){ .name = "system:node:n1", .groups = none }));
        assert_string_equal(node_identity(&(struct user_info){ .name = "system:node:", .groups = nodes_group }), "");
        assert_null(node_identity(&(struct user_info){ .name = "n1", .groups = nodes_group }));
}

static int setup(void **state)
{
        struct store_options o = { .prefix = "/registry", .compact_every_ns = -1 };
        static struct auth auth;

        a = arena_new(0);
        loop = loop_new();
        if (!test_etcd_start(&etcd))
                return 0;
        o.endpoints = (const char *const[]){ etcd.endpoint, NULL };
        assert_int_equal(store_new(loop, &o, &store, NULL), 0);
        graph = node_graph_new(store);
        auth.store = store;
        the_auth = &auth;
        return 0;
}

static int teardown(void **state)
{
        node_graph_free(graph);
        store_free(store);
        for (int i = 0; i < 5; i++)
                loop_turn(loop, 0);
        loop_free(loop);
        if (store)
                test_etcd_stop(&etcd);
        arena_free(a);
        return 0;
}

#define ON_FIBER(name)                                                                                                 \
        static void test_##name(void **state)                                                                          \
        {                                                                                                              \
                if (!store)                                                                                            \
                        skip();                                                                                        \
                fiber_run(loop, name, NULL);                                                                           \
        }
ON_FIBER(relations)
ON_FIBER(rules)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_identity), cmocka_unit_test(test_relations), cmocka_unit_test(test_rules),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
