/* The queue under simulated time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "queue.h"
#include "schedule.h"

#include "../lib/base/time.h"

#define S NS_PER_SEC

static void priority_then_age(void **state)
{
        struct sched_queue *q = sched_queue_new();
        unused(state);

        sched_queue_add(q, "a", 0, 0);
        sched_queue_add(q, "b", 5, 0);
        sched_queue_add(q, "c", 0, 0);
        sched_queue_add(q, "d", 5, 0);
        sched_queue_remove(q, "a");
        assert_string_equal(sched_queue_pop(q, 0), "b");
        assert_string_equal(sched_queue_pop(q, 0), "d");
        assert_string_equal(sched_queue_pop(q, 0), "c");
        assert_null(sched_queue_pop(q, 0));
        sched_queue_free(q);
}

static void only_what_helps_wakes(void **state)
{
        struct sched_queue *q = sched_queue_new();
        unused(state);

        sched_queue_add(q, "a", 0, 0);
        assert_non_null(sched_queue_pop(q, 0));
        sched_queue_park(q, "a", WAKE_NODE, 0);
        sched_queue_wake(q, WAKE_POD_GONE, 20 * S);
        assert_null(sched_queue_pop(q, 20 * S));
        sched_queue_wake(q, WAKE_NODE, 20 * S);
        assert_non_null(sched_queue_pop(q, 20 * S));
        sched_queue_park(q, "a", WAKE_NODE, 20 * S);
        assert_true(sched_queue_next(q) == 320 * S);
        assert_null(sched_queue_pop(q, 319 * S));
        assert_non_null(sched_queue_pop(q, 320 * S));
        sched_queue_free(q);
}

/* 1, 2, 4, 8, 10, 10 seconds. */
static void backoff_doubles(void **state)
{
        static const int seconds[] = { 1, 2, 4, 8, 10, 10 };
        struct sched_queue *q = sched_queue_new();
        int64_t now = 0;
        unused(state);

        sched_queue_add(q, "a", 0, 0);
        for (size_t i = 0; i < ARRAY_SIZE(seconds); i++) {
                assert_non_null(sched_queue_pop(q, now));
                sched_queue_retry(q, "a", now);
                assert_true(sched_queue_next(q) == now + seconds[i] * S);
                assert_null(sched_queue_pop(q, now + seconds[i] * S - 1));
                now += seconds[i] * S;
        }
        sched_queue_free(q);
}

/* What an event may have helped is tried at once, but behind all that is not waiting. */
static void idle_cuts_backoff(void **state)
{
        struct sched_queue *q = sched_queue_new();
        unused(state);

        for (int i = 0; i < 2; i++) {
                const char *key = i ? "b" : "a";

                sched_queue_add(q, key, 0, i * S);
                assert_string_equal(sched_queue_pop(q, i * S), key);
                sched_queue_park(q, key, WAKE_NODE, i * S);
        }
        sched_queue_wake(q, WAKE_NODE, S + 1);
        sched_queue_add(q, "new", 0, S + 1);
        assert_int_equal(sched_queue_next(q), 0);
        assert_string_equal(sched_queue_pop(q, S + 1), "a"); /* its second is over */
        assert_string_equal(sched_queue_pop(q, S + 1), "new");
        assert_string_equal(sched_queue_pop(q, S + 1), "b");
        assert_null(sched_queue_pop(q, S + 1));
        sched_queue_free(q);
}

static void events_while_trying_count(void **state)
{
        struct sched_queue *q = sched_queue_new();
        unused(state);

        sched_queue_add(q, "a", 0, 0);
        assert_non_null(sched_queue_pop(q, 0));
        sched_queue_wake(q, WAKE_NODE, 0);
        sched_queue_park(q, "a", WAKE_NODE, 0);
        assert_non_null(sched_queue_pop(q, 1 * S));
        sched_queue_free(q);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(priority_then_age),
                cmocka_unit_test(only_what_helps_wakes),
                cmocka_unit_test(backoff_doubles),
                cmocka_unit_test(idle_cuts_backoff),
                cmocka_unit_test(events_while_trying_count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
