/* Priority and fairness: which schema a request fits, and who gets a seat when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "classify.h"
#include "levels.h"
#include "work.h"

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

        r.path = path;
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
        flow_levels_set(&all, limits, 0);
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

        for (unsigned i = 0; i < n; i++) {
                w[i].work = (struct flow_work){.width = 1};
                got += flow_arrive(l, hash, &w[i], 0) == wanted;
        }
        return got;
}

static void leave(struct flow_level *l, const struct flow_waiter *w, double seconds, double now)
{
        flow_finish(l, w->queue, &w->work, seconds, now);
        flow_release(l, w->queue, &w->work, now);
}

static void test_seats(void **state)
{
        struct flow_waiter w[64];

        make_levels(8, 0, 0);
        assert_int_equal(queued->nominal, 2);
        assert_int_equal(queued->limit, 2);
        assert_int_equal(rejecting->nominal, 4);
        assert_int_equal(fill(exempt, 0, w, 64, FLOW_RUN), 64);
        assert_int_equal(fill(rejecting, 0, w, 4, FLOW_RUN), 4);
        assert_int_equal(fill(rejecting, 0, w, 2, FLOW_REJECT), 2);
        leave(rejecting, &w[0], 0.1, 0.1);
        assert_int_equal(flow_arrive(rejecting, 0, &w[0], 0.1), FLOW_RUN);
        assert_int_equal(fill(queued, 7, w, 2, FLOW_RUN), 2);
        assert_int_equal(fill(queued, 7, &w[2], 4, FLOW_WAIT), 4); /* two queues of two */
        assert_int_equal(flow_arrive(queued, 7, &w[6], 0.1), FLOW_REJECT);
        assert_null(flow_next(queued, 0.1));
        leave(queued, &w[0], 0.1, 0.1);
        assert_non_null(flow_next(queued, 0.1));
        assert_null(flow_next(queued, 0.1));
        assert_int_equal(queued->waiting, 3);
        free_levels();
}

/* What is asked for moves what is lent, at the next adjustment; what the owner needs goes back with the one after that. */
static void test_borrowing(void **state)
{
        struct flow_waiter w[64], v[64];

        make_levels(40, 50, -1); /* two levels of ten seats, five of each lendable; twenty that are not */
        assert_int_equal(queued->least, 5);
        assert_int_equal(queued->most, 50);
        assert_int_equal(fill(queued, 7, w, 14, FLOW_RUN), queued->limit);
        assert_int_equal(queued->waiting, 4); /* the rest was sent away */
        flow_levels_adjust(&all, 10);
        assert_true(queued->limit > 10);
        assert_int_equal(queued->limit + other->limit + rejecting->limit, 40);
        assert_true(other->limit >= 5 && rejecting->limit == 20);
        assert_non_null(flow_next(queued, 10));
        assert_int_equal(fill(other, 9, v, 14, FLOW_RUN), other->limit);
        flow_levels_adjust(&all, 20);
        assert_true(other->limit >= MIN(other->running + other->waiting, 10u));
        free_levels();
        make_levels(40, 50, 0); /* nobody may borrow */
        assert_int_equal(fill(queued, 7, w, 12, FLOW_RUN), queued->limit);
        flow_levels_adjust(&all, 10);
        assert_int_equal(queued->limit, 10);
        flow_give_up(&w[11], 10);
        assert_int_equal(queued->waiting, 1);
        free_levels();
}

/* One that is wide takes several seats, and keeps some for a while; one that is wider than the level goes alone. */
static void test_width(void **state)
{
        struct flow_waiter w[4] = {{.work = {.width = 4}}, {.work = {.width = 1, .final = 2, .seconds = 0.01}}, {.work = {.width = 12}}};

        make_levels(40, 0, 0);
        assert_int_equal(queued->widest, 2);
        assert_int_equal(flow_arrive(queued, 7, &w[0], 0), FLOW_RUN);
        assert_int_equal(flow_arrive(queued, 7, &w[1], 0), FLOW_RUN);
        assert_int_equal(queued->seats, 6);
        flow_finish(queued, w[1].queue, &w[1].work, 0.1, 0.1);
        assert_int_equal(queued->seats, 6);
        assert_int_equal(queued->running, 1);
        assert_int_equal(flow_arrive(queued, 8, &w[2], 0.1), FLOW_WAIT);
        assert_null(flow_next(queued, 0.1));
        flow_release(queued, w[1].queue, &w[1].work, 0.11);
        assert_int_equal(queued->seats, 4);
        assert_null(flow_next(queued, 0.11));
        leave(queued, &w[0], 0.2, 0.2);
        assert_ptr_equal(flow_next(queued, 0.2), &w[2]);
        free_levels();
}

static void test_divide(void **state)
{
        struct flow_claim claims[] = {{10, 0, 100, 0}, {30, 0, 100, 0}, {0, 5, 8, 0}, {100, 0, 20, 0}};

        flow_divide(claims, ARRAY_SIZE(claims), 60);
        assert_true(claims[0].ret > 8.74 && claims[0].ret < 8.76); /* 35 are left for the first two: 1 to 3 */
        assert_true(claims[1].ret > 26.24 && claims[1].ret < 26.26);
        assert_true(claims[2].ret == 5 && claims[3].ret == 20);
}

static void test_work(void **state)
{
        const struct flow_list none = {.cached = true}, many = {.count = 5000, .size = 3000, .cached = true},
                               page = {.count = 5000, .size = 3000, .limit = 500, .selects = true},
                               few = {.count = 5000, .size = 3000, .limit = 50}, one = {.count = 5000, .size = 3000, .named = true};
        struct flow_work work = flow_write_work(9, 0);

        assert_int_equal(flow_list_width(&none), 0);
        assert_int_equal(flow_list_width(&many), 10);
        assert_int_equal(flow_list_width(&page), 75);
        assert_int_equal(flow_list_width(&few), 2);
        assert_int_equal(flow_list_width(&one), 1);
        assert_true(work.width == 1 && work.final == 0);
        work = flow_write_work(25, 0);
        assert_true(work.final == 3 && work.seconds == 0.005);
        work = flow_write_work(1000, 0);
        assert_true(work.final == 10 && work.seconds > 0.0499 && work.seconds < 0.0501);
}

/* A flow with many requests does not keep another waiting longer than its turn. */
static void test_fairness(void **state)
{
        struct flow_waiter first = {.work = {.width = 1}}, second = first, many[4], one = first;
        struct flow_waiter *next;
        uint64_t hash = 1;
        unsigned hand[8], turns = 0;

        make_levels(8, 0, 0);
        assert_int_equal(flow_arrive(queued, 0, &first, 0), FLOW_RUN);
        assert_int_equal(flow_arrive(queued, 0, &second, 0), FLOW_RUN);
        assert_int_equal(fill(queued, 0, many, 4, FLOW_WAIT), 4);
        for (bool apart = false; !apart; hash++) { /* a flow whose hand has none of the other's queues */
                flow_deal(hash, 8, 2, hand);
                apart = !queued->queues[hand[0]].n_waiting && !queued->queues[hand[1]].n_waiting;
        }
        assert_int_equal(flow_arrive(queued, hash - 1, &one, 0), FLOW_WAIT);
        leave(queued, &first, 1, 1); /* the others' queues have had a second of work each */
        leave(queued, &second, 1, 1);
        while ((next = flow_next(queued, 1)) && next != &one)
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
        flow_levels_set(&all, fewer, 0);
        assert_int_equal(queued->waiting, 4);
        queued->refs++;
        flow_level_remove(queued);
        while (flow_next(queued, 0))
                n++;
        assert_int_equal(n, 4);
        for (size_t i = 0; i < 6; i++)
                leave(queued, &w[i], 0, 0);
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
                cmocka_unit_test(test_borrowing),
                cmocka_unit_test(test_width),
                cmocka_unit_test(test_divide),
                cmocka_unit_test(test_work),
                cmocka_unit_test(test_fairness),
                cmocka_unit_test(test_deal),
                cmocka_unit_test(test_reconfigured),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
