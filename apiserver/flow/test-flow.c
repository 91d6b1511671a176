/* Priority and fairness: which schema a request fits, and who gets a seat when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "classify.h"
#include "levels.h"

static struct arena *a;

static int setup(void **state)
{
        a = arena_new(0);
        return 0;
}

static int teardown(void **state)
{
        arena_free(a);
        return 0;
}

/* --- matching --- */

#define ALL "\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"clusterScope\":true,\"namespaces\":[\"*\"]}]," \
            "\"nonResourceRules\":[{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]"

static const char *const texts[] = {
        "{\"metadata\":{\"name\":\"zz\"},\"spec\":{\"matchingPrecedence\":5,\"rules\":[{\"subjects\":[{\"kind\":\"User\",\"user\":{\"name\":\"tie\"}}]," ALL "}]}}",
        "{\"metadata\":{\"name\":\"aa\"},\"spec\":{\"matchingPrecedence\":5,\"rules\":[{\"subjects\":[{\"kind\":\"User\",\"user\":{\"name\":\"tie\"}}]," ALL "}]}}",
        "{\"metadata\":{\"name\":\"admins\"},\"spec\":{\"matchingPrecedence\":1,\"rules\":[{\"subjects\":[{\"kind\":\"Group\",\"group\":{\"name\":\"masters\"}}]," ALL "}]}}",
        "{\"metadata\":{\"name\":\"accounts\"},\"spec\":{\"matchingPrecedence\":20,\"distinguisherMethod\":{\"type\":\"ByNamespace\"},\"rules\":[{\"subjects\":[{\"kind\":\"ServiceAccount\","
        "\"serviceAccount\":{\"namespace\":\"kube-system\",\"name\":\"*\"}}],\"resourceRules\":[{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"\"],"
        "\"resources\":[\"pods\",\"nodes/status\"],\"namespaces\":[\"kube-system\"]}]}]}}",
        "{\"metadata\":{\"name\":\"probes\"},\"spec\":{\"matchingPrecedence\":2,\"rules\":[{\"subjects\":[{\"kind\":\"Group\",\"group\":{\"name\":\"*\"}}],"
        "\"nonResourceRules\":[{\"verbs\":[\"get\"],\"nonResourceURLs\":[\"/healthz\",\"/debug/*\"]}]}]}}",
        "{\"metadata\":{\"name\":\"rest\"},\"spec\":{\"matchingPrecedence\":10000,\"distinguisherMethod\":{\"type\":\"ByUser\"},\"rules\":[{\"subjects\":[{\"kind\":\"Group\",\"group\":{\"name\":\"auth\"}}]," ALL "}]}}",
};

static struct flow_schema schemas[ARRAY_SIZE(texts)];

static void compile_all(void)
{
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct json *j = NULL;

                assert_int_equal(json_parse(a, texts[i], strlen(texts[i]), NULL, &j, NULL), 0);
                flow_compile(a, j, &schemas[i]);
        }
        qsort(schemas, ARRAY_SIZE(schemas), sizeof(*schemas), flow_schema_cmp);
}

static const struct flow_schema *classify(const char *user, const char *group, const char *verb, const char *resource,
                                          const char *sub, const char *ns, const char *path)
{
        static struct http_request http;
        static const char *groups[2];
        struct api_request r = {.http = &http, .is_resource = !path, .verb = verb, .group = "", .resource = resource ? resource : "",
                                .subresource = sub ? sub : "", .namespace = ns ? ns : ""};

        http.path = path;
        groups[0] = group;
        r.user = (struct user_info){.name = user, .groups = groups};
        return flow_classify(schemas, ARRAY_SIZE(schemas), &r);
}

static void test_match(void **state)
{
        static const char sa[] = "system:serviceaccount:kube-system:x";

        compile_all();
        assert_string_equal(classify("eve", "masters", "get", "pods", NULL, NULL, NULL)->name, "admins");
        assert_string_equal(classify("eve", "auth", "get", "pods", NULL, "x", NULL)->name, "rest");
        assert_string_equal(classify("tie", "auth", "get", "pods", NULL, "x", NULL)->name, "aa");
        assert_null(classify("eve", "nobody", "get", "pods", NULL, "x", NULL));
        assert_string_equal(classify("eve", "nobody", "get", NULL, NULL, NULL, "/healthz")->name, "probes");
        assert_string_equal(classify("eve", "nobody", "get", NULL, NULL, NULL, "/debug/x")->name, "probes");
        assert_null(classify("eve", "nobody", "post", NULL, NULL, NULL, "/healthz"));
        assert_null(classify("eve", "nobody", "get", NULL, NULL, NULL, "/healthz/x"));
        assert_string_equal(classify(sa, "auth", "list", "pods", NULL, "kube-system", NULL)->name, "accounts");
        assert_string_equal(classify(sa, "auth", "list", "pods", NULL, "default", NULL)->name, "rest");
        assert_string_equal(classify(sa, "auth", "list", "pods", NULL, NULL, NULL)->name, "rest");
        assert_string_equal(classify(sa, "auth", "get", "pods", "status", "kube-system", NULL)->name, "rest");
        assert_string_equal(classify(sa, "auth", "get", "nodes", "status", "kube-system", NULL)->name, "accounts");
        assert_string_equal(classify("system:serviceaccount:kube-systemx:x", "auth", "list", "pods", NULL, "kube-system", NULL)->name, "rest");
}

static void test_hash(void **state)
{
        struct api_request x = {.namespace = "a", .user.name = "u"}, y = {.namespace = "b", .user.name = "u"};
        const struct flow_schema *by_user, *by_ns;

        compile_all();
        by_ns = classify("system:serviceaccount:kube-system:x", "auth", "list", "pods", NULL, "kube-system", NULL);
        by_user = classify("eve", "auth", "get", "pods", NULL, "x", NULL);
        assert_true(flow_hash(by_ns, &x) != flow_hash(by_ns, &y));
        assert_true(flow_hash(by_user, &x) == flow_hash(by_user, &y));
}

/* --- seats --- */

static struct flow_levels all;
static struct flow_level *exempt, *queued, *other, *rejecting;

static void make_levels(unsigned seats, int64_t lendable, int64_t borrowing)
{
        const struct flow_limits limits[] = {
                {.exempt = true, .borrowing_percent = -1},
                {.shares = 10, .lendable_percent = lendable, .borrowing_percent = borrowing, .queues = 8, .hand = 2, .queue_limit = 2},
                {.shares = 10, .lendable_percent = lendable, .borrowing_percent = borrowing, .queues = 8, .hand = 2, .queue_limit = 2},
                {.shares = 20, .lendable_percent = 0, .borrowing_percent = 0},
        };

        all = (struct flow_levels){.seats = seats};
        exempt = flow_level_new(&all, "exempt");
        queued = flow_level_new(&all, "queued");
        other = flow_level_new(&all, "other");
        rejecting = flow_level_new(&all, "rejecting");
        flow_levels_set(&all, limits);
}

static void free_levels(void)
{
        while (all.n)
                flow_level_remove(all.list[0]);
        free(all.list);
}

static unsigned fill(struct flow_level *l, uint64_t hash, struct flow_waiter *w, unsigned n, enum flow_verdict wanted)
{
        unsigned got = 0;

        for (unsigned i = 0; i < n; i++)
                got += flow_arrive(l, hash, &w[i]) == wanted;
        return got;
}

static void test_seats(void **state)
{
        struct flow_waiter w[64];

        make_levels(8, 0, 0);
        assert_int_equal(queued->nominal, 2);
        assert_int_equal(rejecting->nominal, 4);
        assert_int_equal(fill(exempt, 0, w, 64, FLOW_RUN), 64);
        assert_int_equal(fill(rejecting, 0, w, 4, FLOW_RUN), 4);
        assert_int_equal(fill(rejecting, 0, w, 2, FLOW_REJECT), 2);
        flow_finish(rejecting, w[0].queue, 0.1);
        assert_int_equal(flow_arrive(rejecting, 0, &w[0]), FLOW_RUN);
        assert_int_equal(fill(queued, 7, w, 2, FLOW_RUN), 2);
        assert_int_equal(fill(queued, 7, &w[2], 4, FLOW_WAIT), 4); /* two queues of two */
        assert_int_equal(flow_arrive(queued, 7, &w[6]), FLOW_REJECT);
        assert_null(flow_next(&all, NULL));
        flow_finish(queued, w[0].queue, 0.1);
        assert_non_null(flow_next(&all, queued));
        assert_null(flow_next(&all, queued));
        assert_int_equal(queued->waiting, 3);
        free_levels();
}

static void test_lending(void **state)
{
        struct flow_waiter w[64], v[64];

        make_levels(8, 50, -1); /* two levels of two seats, one of each lendable */
        assert_int_equal(all.pool, 2);
        assert_int_equal(fill(queued, 7, w, 3, FLOW_RUN), 3); /* its two, and one of the other's */
        assert_int_equal(flow_arrive(queued, 7, &w[3]), FLOW_WAIT);
        assert_int_equal(flow_arrive(other, 9, &v[0]), FLOW_RUN); /* what is not lendable is still there */
        assert_int_equal(flow_arrive(other, 9, &v[1]), FLOW_WAIT);
        flow_finish(queued, w[0].queue, 0.1); /* goes back to whose it is */
        assert_ptr_equal(flow_next(&all, queued), &v[1]);
        assert_null(flow_next(&all, queued));
        flow_finish(other, v[0].queue, 0.1);
        assert_ptr_equal(flow_next(&all, other), &w[3]);
        free_levels();
        make_levels(8, 50, 0); /* nobody may borrow */
        assert_int_equal(fill(queued, 7, w, 3, FLOW_RUN), 2);
        flow_give_up(&w[2]);
        assert_int_equal(queued->waiting, 0);
        free_levels();
}

/* A flow with many requests does not keep another waiting longer than its turn. */
static void test_fairness(void **state)
{
        struct flow_waiter first, second, many[4], one;
        struct flow_waiter *next;
        uint64_t hash = 1;
        unsigned hand[8], turns = 0;

        make_levels(8, 0, 0);
        assert_int_equal(flow_arrive(queued, 0, &first), FLOW_RUN);
        assert_int_equal(flow_arrive(queued, 0, &second), FLOW_RUN);
        assert_int_equal(fill(queued, 0, many, 4, FLOW_WAIT), 4);
        for (bool apart = false; !apart; hash++) { /* a flow whose hand has none of the other's queues */
                flow_deal(hash, 8, 2, hand);
                apart = !queued->queues[hand[0]].n_waiting && !queued->queues[hand[1]].n_waiting;
        }
        assert_int_equal(flow_arrive(queued, hash - 1, &one), FLOW_WAIT);
        flow_finish(queued, first.queue, 1); /* the others' queues have had a second of work each */
        flow_finish(queued, second.queue, 1);
        while ((next = flow_next(&all, queued)) && next != &one)
                turns++;
        assert_ptr_equal(next, &one);
        assert_true(turns <= 1);
        free_levels();
}

static void test_deal(void **state)
{
        for (uint64_t hash = 0; hash < 5000; hash++) {
                unsigned hand[8], seen = 0;

                flow_deal(hash * UINT64_C(0x9e3779b97f4a7c15), 16, 8, hand);
                for (unsigned i = 0; i < 8; i++) {
                        assert_true(hand[i] < 16);
                        assert_false(seen >> hand[i] & 1);
                        seen |= 1u << hand[i];
                }
        }
}

/* Levels change while requests wait: nobody is lost. */
static void test_reconfigured(void **state)
{
        struct flow_waiter w[6];
        const struct flow_limits fewer[] = {{.exempt = true, .borrowing_percent = -1},
                                            {.shares = 10, .borrowing_percent = 0, .queues = 3, .hand = 1, .queue_limit = 9},
                                            {.shares = 10, .borrowing_percent = 0, .queues = 3, .hand = 1, .queue_limit = 9},
                                            {.shares = 20, .borrowing_percent = 0}};
        unsigned n = 0;

        make_levels(8, 0, 0);
        fill(queued, 7, w, 6, FLOW_WAIT);
        assert_int_equal(queued->waiting, 4);
        flow_levels_set(&all, fewer);
        assert_int_equal(queued->waiting, 4);
        queued->refs++;
        flow_level_remove(queued);
        while (flow_next(&all, queued))
                n++;
        assert_int_equal(n, 4);
        for (size_t i = 0; i < 6; i++)
                flow_finish(queued, w[i].queue, 0);
        assert_int_equal(queued->running, 0);
        flow_level_unref(queued);
        free_levels();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_match, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
                cmocka_unit_test(test_seats),
                cmocka_unit_test(test_lending),
                cmocka_unit_test(test_fairness),
                cmocka_unit_test(test_deal),
                cmocka_unit_test(test_reconfigured),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
