/* What an Accept header gets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/base/base.h"
#include "negotiate.h"

/* "json", "yaml Table", "406: ..." */
static const char *outcome(struct arena *a, const char *accept, unsigned flags)
{
        static const char *const types[] = {"json", "yaml", "protobuf"}, *const as[] = {"", " Table", " Partial", " PartialList"};
        struct media m;
        const struct status *st = negotiate(a, accept, flags, &m);

        return st ? st->message : arena_printf(a, "%s%s", types[m.type], as[m.as]);
}

#define ROUTE_406 "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"
#define PLAIN_406 "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
#define TABLE ";as=Table;g=meta.k8s.io;v=v1"
#define PARTIAL ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

static void test_negotiate(void **state)
{
        static const struct {
                const char *accept;
                unsigned flags;
                const char *outcome;
        } cases[] = {
                {NULL, NEGOTIATE_ROUTE, "json"},
                {"*/*", NEGOTIATE_ROUTE, "json"},
                {"application/*", NEGOTIATE_ROUTE, ROUTE_406},
                {"application/*", 0, "json"},
                {"text/html", NEGOTIATE_ROUTE, ROUTE_406},
                {"text/html", NEGOTIATE_ROUTE | NEGOTIATE_COLLECTION,
                 ROUTE_406 ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"},
                {"text/html", 0, PLAIN_406},
                {"application/json;q=0.1,application/yaml", NEGOTIATE_STREAM,
                 "only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"},
                {"application/json;as=X;g=meta.k8s.io;v=v1", NEGOTIATE_STREAM | NEGOTIATE_TRANSFORM, PLAIN_406},
                {"application", NEGOTIATE_ROUTE, ROUTE_406},
                {";;", NEGOTIATE_ROUTE, ROUTE_406},
                {"text/html, application/json;q=0.5", NEGOTIATE_ROUTE, "json"},
                {"application/json;q=0.5, application/yaml", NEGOTIATE_ROUTE, "yaml"},
                {"application/json" TABLE, NEGOTIATE_ROUTE | NEGOTIATE_TRANSFORM | NEGOTIATE_TABLE, "json Table"},
                {"application/json" TABLE, NEGOTIATE_ROUTE | NEGOTIATE_TRANSFORM, PLAIN_406},
                {"application/json" TABLE, NEGOTIATE_ROUTE, PLAIN_406},
                {"application/json" TABLE ",application/json", NEGOTIATE_ROUTE, "json"},
                {"application/vnd.kubernetes.protobuf" TABLE, NEGOTIATE_ROUTE | NEGOTIATE_TRANSFORM | NEGOTIATE_TABLE, PLAIN_406},
                {"application/vnd.kubernetes.protobuf,application/json", NEGOTIATE_CUSTOM, "json"},
                {"application/vnd.kubernetes.protobuf", NEGOTIATE_CUSTOM, PLAIN_406},
                {"application/vnd.kubernetes.protobuf" PARTIAL ",application/json", NEGOTIATE_CUSTOM | NEGOTIATE_TRANSFORM,
                 "protobuf Partial"},
                {"*/json", 0, PLAIN_406},
                {"application/yaml;stream=watch,application/json", 0, "json"},
                {"application/json;sv=v1", 0, PLAIN_406},
        };
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_string_equal(outcome(a, cases[i].accept, cases[i].flags), cases[i].outcome);
}

static void test_discovery(void **state)
{
        static const char v2[] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        _cleanup_arena_ struct arena *a = arena_new(0);
        enum media_type type;

        assert_true(negotiate_discovery(a, v2, &type));
        assert_int_equal(type, MEDIA_JSON);
        assert_true(negotiate_discovery(a, "application/vnd.kubernetes.protobuf;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", &type));
        assert_int_equal(type, MEDIA_PROTOBUF);
        assert_true(negotiate_discovery(a, arena_printf(a, "application/json;q=0.1,%s", v2), &type));
        assert_true(negotiate_discovery(a, arena_printf(a, "application/json,%s", v2), &type));
        assert_false(negotiate_discovery(a, "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,application/json", &type));
        assert_false(negotiate_discovery(a, NULL, &type));
}

static void test_plain(void **state)
{
        static const char *const types[] = {"application/json", "application/x@v1", NULL};
        _cleanup_arena_ struct arena *a = arena_new(0);

        assert_int_equal(negotiate_plain(a, NULL, types), 0);
        assert_int_equal(negotiate_plain(a, "application/x@v1", types), 1);
        assert_int_equal(negotiate_plain(a, "application/x@v1;q=0.1, application/json;q=0.2", types), 0);
        assert_int_equal(negotiate_plain(a, "application/*", types), 0);
        assert_int_equal(negotiate_plain(a, "text/html", types), -1);
        assert_null(negotiate_route(a, "text/html, */*;q=0.1", "application/json"));
        assert_string_equal(negotiate_route(a, "application/yaml", "application/json")->message,
                            "406: Not Acceptable\n\nAvailable representations: application/json");
}

static void test_page(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *version = NULL;
        int type;

        assert_null(negotiate_page(a, NULL, "Flagz", &type, &version));
        assert_int_equal(type, -1);
        assert_null(negotiate_page(a, "application/yaml;as=Flagz;g=config.k8s.io;v=v1beta1", "Flagz", &type, &version));
        assert_int_equal(type, MEDIA_YAML);
        assert_string_equal(version, "v1beta1");
        assert_null(negotiate_page(a, "application/json;as=Statusz;g=config.k8s.io;v=v1beta1,*/*", "Flagz", &type, &version));
        assert_int_equal(type, -1);
        assert_int_equal(negotiate_page(a, "application/json", "Flagz", &type, &version)->code, 406);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_negotiate),
                cmocka_unit_test(test_discovery),
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_page),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
