/* RBAC with plain data: what is allowed and why, what covers what, and that a request is judged fast in a
 * cluster of many bindings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../lib/base/time.h"
#include "rbac.h"

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (; *text; text++)
                strbuf_putc(&b, *text == '\'' ? '"' : *text);
        assert_int_equal(json_parse(a, b.data, b.len, NULL, &j, NULL), 0);
        return j;
}

static struct rbac *make(struct arena *a)
{
        struct rbac *r = rbac_new(NULL);

        rbac_put_role(r, "ns", "r",
                      parse(a, "{'rules':[{'apiGroups':[''],'resources':['pods'],'verbs':['get','list']},"
                               "{'apiGroups':[''],'resources':['pods/log'],'verbs':['get']},"
                               "{'apiGroups':['apps'],'resources':['deployments/*'],'verbs':['*']},"
                               "{'apiGroups':[''],'resources':['configmaps'],'resourceNames':['a'],'verbs':['get']},"
                               "{'apiGroups':['*'],'resources':['*/scale'],'verbs':['get']}]}"));
        rbac_put_binding(r, "ns", "b",
                         parse(a, "{'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'alice'},"
                                  "{'kind':'ServiceAccount','name':'sa'}]}"));
        rbac_put_role(r, NULL, "urls", parse(a, "{'rules':[{'nonResourceURLs':['/x/*','/y'],'verbs':['get']}]}"));
        rbac_put_binding(r, NULL, "urls",
                         parse(a, "{'roleRef':{'kind':'ClusterRole','name':'urls'},"
                                  "'subjects':[{'kind':'Group','name':'web'}]}"));
        rbac_put_binding(r, "ns", "gone",
                         parse(a, "{'roleRef':{'kind':'ClusterRole','name':'missing'},"
                                  "'subjects':[{'kind':'User','name':'carol'}]}"));
        return r;
}

static enum authz_decision ask(struct rbac *r, struct arena *a, const char *user, const char *verb, const char *group,
                               const char *resource, const char *sub, const char *name, const char **reason)
{
        const struct user_info u = { .name = user };
        const struct authz_attributes at = { .user = &u, .verb = verb, .group = group, .version = "v1", .namespace = "ns",
                                             .resource = resource, .subresource = sub, .name = name, .is_resource = true };

        return rbac_authorize(r, a, &at, reason);
}

static void test_rules(void **state)
{
        static const struct {
                const char *user, *verb, *group, *resource, *sub, *name;
                bool allowed;
        } cases[] = {
                { "alice", "get", "", "pods", "", "x", true },
                { "alice", "delete", "", "pods", "", "x", false },
                { "alice", "get", "", "pods", "log", "x", true },
                { "alice", "get", "", "pods", "status", "x", false },
                { "alice", "patch", "apps", "deployments", "status", "x", false }, /* "deployments/..." with * is no pattern */
                { "alice", "get", "", "configmaps", "", "a", true },
                { "alice", "get", "", "configmaps", "", "b", false },
                { "alice", "list", "", "configmaps", "", "", false },
                { "alice", "get", "apps", "statefulsets", "scale", "x", true },
                { "bob", "get", "", "pods", "", "x", false },
                { "system:serviceaccount:ns:sa", "get", "", "pods", "", "x", true },
                { "system:serviceaccount:other:sa", "get", "", "pods", "", "x", false },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac *r = make(a);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(ask(r, a, cases[i].user, cases[i].verb, cases[i].group, cases[i].resource, cases[i].sub,
                                     cases[i].name, NULL),
                                 cases[i].allowed ? AUTHZ_ALLOW : AUTHZ_NO_OPINION);
        rbac_free(r);
}

static void test_reasons(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac *r = make(a);
        const char *reason;

        ask(r, a, "alice", "get", "", "pods", "", "x", &reason);
        assert_string_equal(reason, "RBAC: allowed by RoleBinding \"b/ns\" of Role \"r\" to User \"alice\"");
        ask(r, a, "system:serviceaccount:ns:sa", "get", "", "pods", "", "x", &reason);
        assert_string_equal(reason, "RBAC: allowed by RoleBinding \"b/ns\" of Role \"r\" to ServiceAccount \"sa/ns\"");
        ask(r, a, "carol", "get", "", "pods", "", "x", &reason);
        assert_string_equal(reason, "RBAC: clusterrole.rbac.authorization.k8s.io \"missing\" not found");
        rbac_free(r);
}

/* Of the subjects that mean somebody the binding's first is told, and its rules count once. */
static void test_named_twice(void **state)
{
        const char *groups[] = { "a", "b", NULL }, *reason, *errors;
        const struct user_info u = { .name = "eve", .groups = groups };
        const struct authz_attributes at = { .user = &u, .verb = "get", .group = "", .version = "v1", .namespace = "",
                                             .resource = "nodes", .subresource = "", .name = "x", .is_resource = true };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac *r = make(a);
        struct rbac_rules rules;

        rbac_put_role(r, NULL, "two", parse(a, "{'rules':[{'apiGroups':[''],'resources':['nodes'],'verbs':['get']}]}"));
        rbac_put_binding(r, NULL, "two",
                         parse(a, "{'roleRef':{'kind':'ClusterRole','name':'two'},'subjects':[{'kind':'Group','name':'b'},"
                                  "{'kind':'User','name':'eve'},{'kind':'Group','name':'a'}]}"));
        rbac_put_binding(r, NULL, "gone",
                         parse(a, "{'roleRef':{'kind':'ClusterRole','name':'lost'},'subjects':[{'kind':'User','name':'eve'}]}"));
        assert_int_equal(rbac_authorize(r, a, &at, &reason), AUTHZ_ALLOW);
        assert_string_equal(reason, "RBAC: allowed by ClusterRoleBinding \"two\" of ClusterRole \"two\" to Group \"b\"");
        rbac_rules_for(r, a, &u, "", NULL, &rules, &errors);
        assert_int_equal(rules.n, 1);
        assert_string_equal(errors, "clusterrole.rbac.authorization.k8s.io \"lost\" not found");
        rbac_rules_for(r, a, &u, "", "roles", &rules, &errors);
        assert_string_equal(errors, "roles.rbac.authorization.k8s.io \"lost\" not found");
        rbac_free(r);
}

static void test_paths(void **state)
{
        const char *groups[] = { "web", NULL };
        const struct user_info u = { .name = "x", .groups = groups };
        struct authz_attributes at = { .user = &u, .verb = "get", .namespace = "" };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac *r = make(a);

        at.path = "/x/y";
        assert_int_equal(rbac_authorize(r, a, &at, NULL), AUTHZ_ALLOW);
        at.path = "/y";
        assert_int_equal(rbac_authorize(r, a, &at, NULL), AUTHZ_ALLOW);
        at.path = "/y/z";
        assert_int_equal(rbac_authorize(r, a, &at, NULL), AUTHZ_NO_OPINION);
        rbac_free(r);
}

static void test_changes(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac *r = make(a);

        rbac_put_binding(r, "ns", "b",
                         parse(a, "{'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'bob'}]}"));
        assert_int_equal(ask(r, a, "alice", "get", "", "pods", "", "x", NULL), AUTHZ_NO_OPINION);
        assert_int_equal(ask(r, a, "bob", "get", "", "pods", "", "x", NULL), AUTHZ_ALLOW);
        rbac_del_role(r, "ns", "r");
        assert_int_equal(ask(r, a, "bob", "get", "", "pods", "", "x", NULL), AUTHZ_NO_OPINION);
        rbac_put_role(r, "ns", "r", parse(a, "{'rules':[{'apiGroups':['*'],'resources':['*'],'verbs':['*']}]}"));
        assert_int_equal(ask(r, a, "bob", "delete", "x", "y", "z", "x", NULL), AUTHZ_ALLOW);
        rbac_del_binding(r, "ns", "b");
        assert_int_equal(ask(r, a, "bob", "get", "", "pods", "", "x", NULL), AUTHZ_NO_OPINION);
        rbac_free(r);
}

static void test_covers(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac_rules owner, servant, missing;

        rbac_rules_read(a, parse(a, "[{'apiGroups':[''],'resources':['pods','*/scale'],'verbs':['get','list']}]"), &owner);
        rbac_rules_read(a, parse(a, "[{'apiGroups':[''],'resources':['pods','services/scale'],'verbs':['get']}]"), &servant);
        assert_true(rbac_covers(a, &owner, &servant, &missing));
        rbac_rules_read(a,
                        parse(a, "[{'apiGroups':[''],'resources':['pods'],'verbs':['get','watch','delete']},"
                                 "{'nonResourceURLs':['/a'],'verbs':['get']}]"),
                        &servant);
        assert_false(rbac_covers(a, &owner, &servant, &missing));
        assert_string_equal(rbac_rules_print(a, &missing),
                            "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"watch\" \"delete\"]}\n"
                            "{NonResourceURLs:[\"/a\"], Verbs:[\"get\"]}");
        rbac_rules_read(a, parse(a, "[{'apiGroups':['*'],'resources':['*'],'verbs':['*']},"
                                    "{'nonResourceURLs':['*'],'verbs':['*']}]"), &owner);
        assert_true(rbac_covers(a, &owner, &servant, &missing));
}

/* Ten thousand bindings of others must not slow a request down: 5 us are allowed, and this asks for the
 * mean of many, with room for a sanitizer and a busy machine. */
static void test_speed(void **state)
{
        const char *groups[] = { "system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated", NULL };
        const struct user_info u = { .name = "system:serviceaccount:ns:sa", .groups = groups };
        const struct authz_attributes at = { .user = &u, .verb = "get", .group = "", .version = "v1", .namespace = "ns",
                                             .resource = "pods", .subresource = "", .name = "x", .is_resource = true };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct rbac *r = make(a);
        int64_t start, each;

        for (int i = 0; i < 10000; i++) {
                _cleanup_free_ char *name = xasprintf("b%d", i);

                rbac_put_binding(r, NULL, name,
                                 json_clone(a, parse(a, "{'roleRef':{'kind':'ClusterRole','name':'urls'},"
                                                        "'subjects':[{'kind':'User','name':'other'}]}")));
        }
        start = time_mono();
        for (int i = 0; i < 100000; i++)
                assert_int_equal(rbac_authorize(r, a, &at, NULL), AUTHZ_ALLOW);
        each = (time_mono() - start) / 100000;
        print_message("a decision takes %lld ns\n", (long long)each);
        assert_true(each < 100000);
        rbac_free(r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),  cmocka_unit_test(test_reasons), cmocka_unit_test(test_paths),
                cmocka_unit_test(test_changes), cmocka_unit_test(test_covers),  cmocka_unit_test(test_speed),
                cmocka_unit_test(test_named_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
