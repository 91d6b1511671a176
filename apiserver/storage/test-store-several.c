/* Several API servers on one etcd: what one has written, every later read of another sees, whoever holds the
 * claim to be the only writer, be it stopped or killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "etcd-for-tests.h"
#include "store.h"

static struct test_etcd etcd;
static bool have_etcd;
static struct loop *loop;
static const char *prefix; /* each test has its own: what one shared stays shared for minutes */

static struct store *open_store(const char *endpoint)
{
        const char *endpoints[] = { endpoint, NULL };
        struct store_options o = { .endpoints = endpoints, .prefix = prefix, .compact_every_ns = -1 };
        struct store *s = NULL;

        assert_int_equal(store_new(loop, &o, &s, NULL), 0);
        while (!store_ready(s))
                fiber_sleep(NS_PER_MS);
        return s;
}

static bool is_sole(const struct store *s)
{
        struct store_stats stats;

        store_stats(s, &stats);
        return stats.sole;
}

static void become_sole(struct store *s)
{
        for (unsigned i = 0; i < 5000 && !is_sole(s); i++) {
                assert_int_equal(store_sync(s, NULL), 0);
                fiber_sleep(NS_PER_MS);
        }
        assert_true(is_sole(s));
}

static char *key(void)
{
        static char buf[64];

        snprintf(buf, sizeof(buf), "%s/configmaps/default/a", prefix);
        return buf;
}

/* Writes NUMBER, over whatever is there. */
static void put(struct store *s, unsigned number)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        char *text = arena_printf(a, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\","
                                     "\"namespace\":\"default\",\"labels\":{\"n\":\"%u\"}}}", number);
        struct entry *e = NULL, *old;
        struct json *j;
        int r;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        do {
                entry_unref(e);
                e = NULL;
                assert_int_equal(store_sync(s, NULL), 0);
                old = store_get(s, key());
                r = store_put(s, builtin_resource("", "v1", "configmaps"), key(), j, old ? old->revision : 0, &e, NULL);
                assert_true(r == STORE_OK || r == STORE_CONFLICT);
        } while (r != STORE_OK);
        entry_unref(e);
}

static unsigned get(struct store *s)
{
        struct entry *e;

        assert_int_equal(store_sync(s, NULL), 0);
        e = store_get(s, key());
        return e ? (unsigned)atoi(entry_label(e, "n")) : 0;
}

/* --- in one process --- */

static void turns(void *userdata)
{
        struct store *a = open_store(etcd.endpoint), *b = open_store(etcd.endpoint);
        struct store_stats before, after;
        int64_t began;

        put(a, 1);
        become_sole(a);
        /* Alone: reads ask nobody, and see our own writes. */
        store_stats(a, &before);
        for (unsigned i = 2; i < 20; i++) {
                put(a, i);
                assert_int_equal(get(a), i);
        }
        store_stats(a, &after);
        assert_int_equal(before.checks, after.checks);
        assert_int_equal(get(b), 19);
        /* Another writes: it waits no longer than the holder takes to hear of it. */
        began = time_mono();
        put(b, 20);
        assert_true(time_mono() - began < 2 * NS_PER_SEC);
        assert_int_equal(get(a), 20);
        assert_false(is_sole(a));
        for (unsigned i = 21; i < 60; i++) {
                put(i % 2 ? a : b, i);
                assert_int_equal(get(i % 2 ? b : a), i);
        }
        store_free(a);
        store_free(b);
}

/* --- a holder that is another process --- */

static int go[2], told[2]; /* pipes to it and from it */

/* Becomes the only writer; then each byte is a question, answered by what is read. */
static void hold(void *userdata)
{
        struct store *s = open_store(userdata);
        char c;

        become_sole(s);
        put(s, 100);
        dprintf(told[1], "%u\n", get(s));
        while (read(go[0], &c, 1) == 1)
                dprintf(told[1], "%u\n", get(s));
}

static unsigned answer(void)
{
        char line[32] = "";

        for (size_t n = 0; n + 1 < sizeof(line) && read(told[0], line + n, 1) == 1 && line[n] != '\n'; n++)
                ;
        return (unsigned)atoi(line);
}

/* Parks the test's loop meanwhile, which is well: nobody else needs it. */
static pid_t start_holder(void)
{
        pid_t pid;

        assert_int_equal(pipe2(go, 0) | pipe2(told, 0), 0);
        pid = fork();
        if (pid == 0) {
                char in[16], out[16];

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                snprintf(in, sizeof(in), "%d", go[0]);
                snprintf(out, sizeof(out), "%d", told[1]);
                execl("/proc/self/exe", "holder", etcd.endpoint, prefix, in, out, NULL);
                _exit(127);
        }
        close(go[0]);
        close(told[1]);
        assert_int_equal(answer(), 100);
        return pid;
}

static void end_holder(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(go[1]);
        close(told[0]);
}

static void killed(void *userdata)
{
        struct store *s;
        pid_t pid = start_holder();
        int64_t began = time_mono();

        kill(pid, SIGKILL);
        s = open_store(etcd.endpoint);
        put(s, 200);
        assert_true(time_mono() - began < 3 * NS_PER_SEC); /* not its lease's six */
        assert_int_equal(get(s), 200);
        store_free(s);
        end_holder(pid);
}

static void stopped(void *userdata)
{
        struct store *s = open_store(etcd.endpoint);
        pid_t pid = start_holder();

        assert_int_equal(get(s), 100);
        kill(pid, SIGSTOP);
        put(s, 300); /* waits until the holder's lease has ended */
        assert_int_equal(write(go[1], "?", 1), 1);
        kill(pid, SIGCONT);
        assert_int_equal(answer(), 300);
        store_free(s);
        end_holder(pid);
}

static int setup(void **state)
{
        have_etcd = test_etcd_start(&etcd);
        loop = loop_new();
        return 0;
}

static int teardown(void **state)
{
        for (int i = 0; i < 5; i++)
                loop_turn(loop, 0);
        loop_free(loop);
        if (have_etcd)
                test_etcd_stop(&etcd);
        return 0;
}

#define ON_FIBER(name)                                                                                                 \
        static void test_##name(void **state)                                                                          \
        {                                                                                                              \
                if (!have_etcd)                                                                                        \
                        skip();                                                                                        \
                prefix = "/" #name;                                                                                    \
                fiber_run(loop, name, NULL);                                                                           \
        }
ON_FIBER(killed)
ON_FIBER(stopped)
ON_FIBER(turns)

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed), cmocka_unit_test(test_stopped),
                                            cmocka_unit_test(test_turns) };

        if (argc == 5) {
                prefix = argv[2];
                go[0] = atoi(argv[3]);
                told[1] = atoi(argv[4]);
                loop = loop_new();
                fiber_run(loop, hold, argv[1]);
                return 0;
        }
        return cmocka_run_group_tests(tests, setup, teardown);
}
