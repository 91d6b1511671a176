/* Quotas with plain data: what counts, what must be said, which scopes take a pod in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quota-usage.h"

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (; *text; text++)
                strbuf_putc(&b, *text == '\'' ? '"' : *text);
        assert_int_equal(json_parse(a, b.data, b.len, NULL, &j, NULL), 0);
        return j;
}

static void check(const char *group, const char *resource, const char *obj, const char *usage)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct resource_list l = { 0 };

        quota_usage(a, group, resource, parse(a, obj), &l);
        assert_string_equal(resource_list_print(a, &l), usage);
}

static void test_usage(void **state)
{
        check("", "pods", "{'spec':{'containers':[{'resources':{'requests':{'cpu':'500m'},'limits':{'memory':'1Gi'}}}]}}",
              "count/pods=1,cpu=500m,limits.memory=1Gi,pods=1,requests.cpu=500m");
        check("", "pods", "{'spec':{'containers':[{'resources':{'requests':{'cpu':'1'}}}]},'status':{'phase':'Failed'}}",
              "count/pods=1");
        check("", "services", "{'spec':{'type':'NodePort','ports':[{},{}]}}",
              "count/services=1,services=1,services.loadbalancers=0,services.nodeports=2");
        check("", "persistentvolumeclaims",
              "{'spec':{'storageClassName':'gold','resources':{'requests':{'storage':'2Gi'}}}}",
              "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,"
              "gold.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi");
        check("batch", "jobs", "{}", "count/jobs.batch=1");
        check("", "secrets", "{}", "count/secrets=1,secrets=1");
        check("resource.k8s.io", "resourceclaims",
              "{'spec':{'devices':{'requests':[{'exactly':{'deviceClassName':'a','allocationMode':'ExactCount','count':2}},"
              "{'firstAvailable':[{'deviceClassName':'a','allocationMode':'All'},"
              "{'deviceClassName':'b','allocationMode':'ExactCount','count':1}]}]}}}",
              "a.deviceclass.resource.k8s.io/devices=34,b.deviceclass.resource.k8s.io/devices=1,"
              "count/resourceclaims.resource.k8s.io=1");
}

static void test_constraints(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *q = parse(a, "{'status':{'hard':{'limits.cpu':'1','requests.memory':'1','pods':'2'}}}");
        struct json *bare = parse(a, "{'spec':{'containers':[{'name':'c1'}]}}");
        struct json *full = parse(a, "{'spec':{'containers':[{'name':'c','resources':{'limits':{'cpu':'1'},"
                                     "'requests':{'memory':'1'}}}]}}");

        assert_string_equal(quota_constraints(a, q, "", "pods", bare),
                            "must specify limits.cpu for: c1; requests.memory for: c1");
        assert_null(quota_constraints(a, q, "", "pods", full));
        assert_null(quota_constraints(a, q, "", "secrets", bare));
}

static void test_scopes(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *best = parse(a, "{'spec':{'hard':{'pods':'1'},'scopes':['BestEffort']}}");
        struct json *ends = parse(a, "{'spec':{'hard':{'pods':'1'},'scopes':['Terminating']}}");
        struct json *class = parse(a, "{'spec':{'hard':{'pods':'1'},'scopeSelector':{'matchExpressions':"
                                      "[{'scopeName':'PriorityClass','operator':'In','values':['high']}]}}}");
        struct json *bare = parse(a, "{'spec':{'containers':[{'name':'c'}]}}");
        struct json *high = parse(a, "{'spec':{'priorityClassName':'high','activeDeadlineSeconds':5,"
                                     "'containers':[{'resources':{'limits':{'cpu':'1'}}}]}}");

        assert_true(quota_matches(best, "", "pods", bare));
        assert_false(quota_matches(best, "", "pods", high));
        assert_false(quota_matches(ends, "", "pods", bare));
        assert_true(quota_matches(ends, "", "pods", high));
        assert_true(quota_matches(class, "", "pods", high));
        assert_false(quota_matches(class, "", "pods", bare));
        assert_false(quota_matches(best, "", "secrets", bare));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_usage),
                cmocka_unit_test(test_constraints),
                cmocka_unit_test(test_scopes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
