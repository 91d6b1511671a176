/* The work queue's promises: a key once, never in two hands, back after a backoff. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "workqueue.h"
#include "../base/time.h"

static void on_ready(struct workqueue *q, void *userdata)
{
        (*(int *)userdata)++;
}

static void test_order_and_once(void **state)
{
        struct loop *loop = loop_new();
        int ready = 0;
        struct workqueue *q = workqueue_new(loop, &(struct workqueue_options){ .ready = on_ready, .userdata = &ready });
        _cleanup_free_ char *first = NULL, *second = NULL, *third = NULL;

        workqueue_add(q, "a");
        workqueue_add(q, "b");
        workqueue_add(q, "a");
        assert_int_equal(workqueue_len(q), 2);
        assert_int_equal(ready, 0); /* never from inside */
        loop_turn(loop, 0);
        assert_int_equal(ready, 1);
        first = workqueue_take(q);
        assert_string_equal(first, "a");

        /* Added while in hand: comes back when done, not before. */
        workqueue_add(q, "a");
        second = workqueue_take(q);
        assert_string_equal(second, "b");
        assert_null(workqueue_take(q));
        workqueue_done(q, "a");
        third = workqueue_take(q);
        assert_string_equal(third, "a");
        workqueue_done(q, "a");
        workqueue_done(q, "b");
        assert_int_equal(workqueue_len(q), 0);
        workqueue_free(q);
        loop_turn(loop, 0); /* it had something to tell: then it goes with the turn */
        loop_free(loop);
}

static void test_backoff(void **state)
{
        struct loop *loop = loop_new();
        struct workqueue_options o = { .base_delay_ns = NS_PER_MS, .max_delay_ns = 2 * NS_PER_MS };
        struct workqueue *q = workqueue_new(loop, &o);
        char *key = NULL;

        for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(workqueue_failures(q, "a"), i);
                workqueue_add_rate_limited(q, "a");
                assert_null(workqueue_take(q));
                while (!(key = workqueue_take(q)))
                        loop_turn(loop, 100 * NS_PER_MS);
                workqueue_done(q, key);
                free(key);
        }
        workqueue_forget(q, "a");
        assert_int_equal(workqueue_failures(q, "a"), 0);

        /* The sooner time counts, and an add at once overrides waiting. */
        workqueue_add_after(q, "b", 3600 * NS_PER_SEC);
        workqueue_add(q, "b");
        key = workqueue_take(q);
        assert_string_equal(key, "b");
        workqueue_done(q, key);
        free(key);
        workqueue_free(q);
        loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order_and_once),
                cmocka_unit_test(test_backoff),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
