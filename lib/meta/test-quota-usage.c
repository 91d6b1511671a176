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
        check("", "persistentvolumeclaims",
              "{'spec':{'resources':{'requests':{'storage':'1500m'}}},'status':{'allocatedResources':{'storage':'1'}}}",
              "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=2");
        check("", "persistentvolumeclaims",
              "{'spec':{'resources':{'requests':{'storage':'1Gi'}}},'status':{'allocatedResources':{'storage':'2Gi'}}}",
              "count/persistentvolumeclaims=1,persistentvolumeclaims=1,requests.storage=2Gi");
        check("", "pods",
              "{'spec':{'containers':[{'resources':{'requests':{'deviceclass.resource.kubernetes.io/gold':'2','a.kubernetes.io/b':'1',"
              "'example.com/gpu':'3','hugepages-2Mi':'2Mi'}}}]}}",
              "count/pods=1,hugepages-2Mi=2Mi,pods=1,requests.deviceclass.resource.kubernetes.io/gold=2,requests.example.com/gpu=3,"
              "requests.hugepages-2Mi=2Mi");
        check("batch", "jobs", "{}", "count/jobs.batch=1");
        check("", "secrets", "{}", "count/secrets=1,secrets=1");
        check("resource.k8s.io", "resourceclaims",
              "{'spec':{'devices':{'requests':[{'exactly':{'deviceClassName':'a','allocationMode':'ExactCount','count':2}},"
              "{'firstAvailable':[{'deviceClassName':'a','allocationMode':'All'},"
              "{'deviceClassName':'b','allocationMode':'ExactCount','count':1}]}]}}}",
              "a.deviceclass.resource.k8s.io/devices=34,b.deviceclass.resource.k8s.io/devices=1,"
              "count/resourceclaims.resource.k8s.io=1,requests.deviceclass.resource.kubernetes.io/a=34,"
              "requests.deviceclass.resource.kubernetes.io/b=1");
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

/* A claim is in the scope of the class it wants, the one it has and the one it is being given. */
static void test_claim_scopes(void **state)
{
        static const char *const names[] = { "gold", "tin" };
        static const struct {
                const char *claim;
                bool in[2], not_in, exists, absent; /* of gold, of tin; NotIn gold */
        } cases[] = {
                { "{}", { false, false }, true, false, true },
                { "{'spec':{'volumeAttributesClassName':'gold'}}", { true, false }, false, true, false },
                { "{'spec':{'volumeAttributesClassName':'tin'},'status':{'currentVolumeAttributesClassName':'gold'}}",
                  { true, true }, true, true, false },
                { "{'status':{'modifyVolumeStatus':{'targetVolumeAttributesClassName':'tin'}}}", { false, true }, true, true, false },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        static const char text[] = "{'spec':{'hard':{'requests.storage':'1'},'scopeSelector':{'matchExpressions':"
                                   "[{'scopeName':'VolumeAttributesClass','operator':'%s'%s}]}}}";

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct json *claim = parse(a, cases[i].claim);

                for (size_t k = 0; k < 2; k++)
                        assert_int_equal(quota_matches(parse(a, arena_printf(a, text, "In",
                                                                             arena_printf(a, ",'values':['%s']", names[k]))),
                                                       "", "persistentvolumeclaims", claim),
                                         cases[i].in[k]);
                assert_int_equal(quota_matches(parse(a, arena_printf(a, text, "NotIn", ",'values':['gold']")), "",
                                               "persistentvolumeclaims", claim),
                                 cases[i].not_in);
                assert_int_equal(quota_matches(parse(a, arena_printf(a, text, "Exists", "")), "", "persistentvolumeclaims", claim),
                                 cases[i].exists);
                assert_int_equal(quota_matches(parse(a, arena_printf(a, text, "DoesNotExist", "")), "", "persistentvolumeclaims",
                                               claim),
                                 cases[i].absent);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_usage),
                cmocka_unit_test(test_constraints),
                cmocka_unit_test(test_scopes),
                cmocka_unit_test(test_claim_scopes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
