/* The loop's promises: order, freeing inside callbacks, fibers that park, children that end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/eventfd.h>

#include "process.h"
#include "../base/time.h"

static char trace[256];

static void note(const char *s)
{
        strncat(trace, s, sizeof(trace) - strlen(trace) - 1);
}

static void on_timer(struct loop_timer *t, void *userdata)
{
        note(userdata);
}

static void timers_fire_in_order(void **state)
{
        struct loop *loop = loop_new();
        struct loop_timer *a = loop_timer_new(loop, on_timer, "a");
        struct loop_timer *b = loop_timer_new(loop, on_timer, "b");
        struct loop_timer *c = loop_timer_new(loop, on_timer, "c");
        unused(state);

        trace[0] = '\0';
        loop_timer_arm(c, 6 * NS_PER_MS);
        loop_timer_arm(a, 1 * NS_PER_MS);
        loop_timer_arm(b, 3 * NS_PER_MS);
        loop_timer_disarm(b);
        assert_false(loop_timer_armed(b));
        while (loop_timer_armed(c))
                loop_turn(loop, -1);
        assert_string_equal(trace, "ac");
        loop_timer_free(a);
        loop_timer_free(b);
        loop_timer_free(c);
        loop_free(loop);
}

static struct loop_fd *sources[2];

static void free_both(struct loop_fd *s, uint32_t events, void *userdata)
{
        note("x");
        loop_fd_free(sources[0]);
        loop_fd_free(sources[1]);
}

/* Both are ready in one turn; the first to run frees both: the other must not run. */
static void a_freed_source_does_not_fire(void **state)
{
        struct loop *loop = loop_new();
        int fd0 = eventfd(1, EFD_CLOEXEC), fd1 = eventfd(1, EFD_CLOEXEC);
        unused(state);

        trace[0] = '\0';
        sources[0] = loop_fd_new(loop, fd0, EPOLLIN, free_both, NULL);
        sources[1] = loop_fd_new(loop, fd1, EPOLLIN, free_both, NULL);
        loop_turn(loop, 0);
        loop_turn(loop, 0);
        assert_string_equal(trace, "x");
        close(fd0);
        close(fd1);
        loop_free(loop);
}

static struct loop *the_loop;
static struct fiber *sleeper;

static void parker(void *userdata)
{
        sleeper = fiber_self();
        note("1");
        fiber_park();
        note("3");
        fiber_sleep(NS_PER_MS);
        note("4");
}

static void block(void *userdata)
{
        usleep(1000);
        *(int *)userdata = 42;
}

static void worker(void *userdata)
{
        int answer = 0;

        fiber_work(the_loop, block, &answer);
        assert_int_equal(answer, 42);
        note("w");
}

static struct fiber_mutex mutex;

static void holder(void *userdata)
{
        fiber_mutex_lock(&mutex);
        note(userdata);
        fiber_sleep(NS_PER_MS);
        note(userdata);
        fiber_mutex_unlock(&mutex);
}

static void fibers_park_and_wake(void **state)
{
        unused(state);
        the_loop = loop_new();
        trace[0] = '\0';
        fiber_start(the_loop, parker, NULL);
        note("2");
        fiber_wake(sleeper);
        while (!strchr(trace, '4'))
                loop_turn(the_loop, -1);
        assert_string_equal(trace, "1234");
        fiber_run(the_loop, worker, NULL);
        assert_string_equal(trace, "1234w");
        trace[0] = '\0';
        fiber_start(the_loop, holder, "a");
        fiber_start(the_loop, holder, "b");
        fiber_run(the_loop, holder, "c");
        assert_string_equal(trace, "aabbcc");
        loop_free(the_loop);
}

static void run_processes(void *userdata)
{
        static const char *const cat[] = { "cat", NULL };
        static const char *const fail[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
        static const char *const hang[] = { "sh", "-c", "sleep 100 & sleep 100", NULL };
        static const char *const none[] = { "/no/such/program", NULL };
        struct process_options o = { .argv = cat, .input = "hello", .input_len = 5 };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct process_result r;

        assert_int_equal(process_run(the_loop, &o, &r, NULL), 0);
        assert_int_equal(r.status, 0);
        assert_string_equal(strbuf_str(&r.out), "hello");
        process_result_deinit(&r);

        o = (struct process_options){ .argv = fail };
        assert_int_equal(process_run(the_loop, &o, &r, NULL), 0);
        assert_int_equal(r.status, 3);
        assert_string_equal(strbuf_str(&r.out), "out\n");
        assert_string_equal(strbuf_str(&r.err), "err\n");
        process_result_deinit(&r);

        o = (struct process_options){ .argv = hang, .timeout_ns = 20 * NS_PER_MS };
        assert_int_equal(process_run(the_loop, &o, &r, NULL), 0);
        assert_true(r.timed_out);
        assert_int_equal(r.status, 128 + SIGKILL);
        process_result_deinit(&r);

        o = (struct process_options){ .argv = none };
        assert_int_equal(process_run(the_loop, &o, &r, &err), -ENOENT);
        assert_string_equal(error_text(&err), "exec /no/such/program: No such file or directory");
}

static void processes_run(void **state)
{
        unused(state);
        the_loop = loop_new();
        fiber_run(the_loop, run_processes, NULL);
        loop_free(the_loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(timers_fire_in_order),
                cmocka_unit_test(a_freed_source_does_not_fire),
                cmocka_unit_test(fibers_park_and_wake),
                cmocka_unit_test(processes_run),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
