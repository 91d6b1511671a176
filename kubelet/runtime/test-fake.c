/* The fake runtime keeps the contract that the kubelet builds on: states, events, what is not found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>

#include "../../lib/base/time.h"
#include "fake.h"

static struct loop *loop;
static struct runtime *rt;
static struct arena *a;
static unsigned exits;
static char last[80];

static void on_event(const struct runtime_event *e, void *userdata)
{
        exits += e->type == RUNTIME_EVENT_EXITED;
        snprintf(last, sizeof(last), "%s", e->container_id);
        assert_string_equal(e->pod_uid, "u");
}

static int setup(void **state)
{
        struct runtime_options o = { .pod_cidr = "10.1.2.0/30" };

        loop = loop_new();
        a = arena_new(0);
        exits = 0;
        assert_int_equal(runtime_fake_new(loop, &o, &rt, NULL), 0);
        rt->on_event = on_event;
        return 0;
}

static int teardown(void **state)
{
        rt->ops->free(rt);
        arena_free(a);
        loop_free(loop);
        return 0;
}

static const char *sandbox(const char *annotations, const char *replaces)
{
        const struct runtime_sandbox_config c = { .pod_name = "p", .pod_namespace = "n", .pod_uid = "u",
                                                  .annotations = annotations, .replaces = replaces };
        const char *id = NULL;

        assert_int_equal(rt->ops->run_sandbox(rt, &c, a, &id, NULL), 0);
        return id;
}

static const char *container(const char *in, const char *name, bool start)
{
        const struct runtime_container_config c = { .name = name, .image = "i", .image_id = "sha256:1", .attempt = 3 };
        const char *id = NULL;

        assert_int_equal(rt->ops->create_container(rt, in, &c, a, &id, NULL), 0);
        if (start)
                assert_int_equal(rt->ops->start_container(rt, id, NULL), 0);
        return id;
}

static struct runtime_container status(const char *id)
{
        struct runtime_container c = { 0 };

        assert_int_equal(rt->ops->container_status(rt, id, a, &c, NULL), 0);
        return c;
}

static void test_life(void **state)
{
        const char *s = sandbox(NULL, NULL), *id = container(s, "c", false);
        struct runtime_container c = status(id), *list;
        size_t n;

        assert_int_equal(strlen(id), 64);
        assert_int_equal(c.state, RUNTIME_CONTAINER_CREATED);
        assert_int_equal(c.attempt, 3);
        rt->ops->start_container(rt, id, NULL);
        c = status(id);
        assert_int_equal(c.state, RUNTIME_CONTAINER_RUNNING);
        assert_true(c.started > 0 && c.finished == 0);
        assert_int_equal(rt->ops->stop_container(rt, id, NS_PER_SEC, NULL), 0);
        c = status(id);
        assert_int_equal(c.state, RUNTIME_CONTAINER_EXITED);
        assert_int_equal(c.exit_code, 0);
        assert_string_equal(c.reason, "Completed");
        assert_int_equal(exits, 1);
        assert_string_equal(last, id);
        assert_int_equal(rt->ops->stop_container(rt, id, 0, NULL), 0); /* ended is fine, and told once */
        assert_int_equal(exits, 1);
        container(s, "d", true);
        assert_int_equal(rt->ops->list_containers(rt, s, a, &list, &n, NULL), 0);
        assert_int_equal(n, 2);
        assert_string_equal(list[0].name, "c"); /* in order of creation */
        assert_int_equal(rt->ops->remove_container(rt, id, NULL), 0);
        assert_int_equal(rt->ops->remove_container(rt, id, NULL), 0);
        assert_int_equal(rt->ops->container_status(rt, id, a, &c, NULL), RUNTIME_NOT_FOUND);
        assert_int_equal(rt->ops->start_container(rt, id, NULL), RUNTIME_NOT_FOUND);
}

static void test_kill(void **state)
{
        const char *s = sandbox(NULL, NULL), *killed = container(s, "k", true), *told = container(s, "t", true);
        struct runtime_container c;

        rt->ops->stop_container(rt, killed, 0, NULL);
        c = status(killed);
        assert_int_equal(c.exit_code, 137);
        assert_string_equal(c.reason, "Error");
        rt->ops->signal_container(rt, told, SIGHUP, NULL);
        assert_int_equal(status(told).state, RUNTIME_CONTAINER_RUNNING);
        rt->ops->signal_container(rt, told, SIGTERM, NULL);
        assert_int_equal(status(told).exit_code, 0);
}

static void test_runs_out(void **state)
{
        const char *s = sandbox("{\"colibri.io/fake-run-for\":\"20ms\",\"colibri.io/fake-exit-code\":\"4\"}", NULL);
        const char *id = container(s, "c", true);

        for (int i = 0; i < 200 && !exits; i++)
                loop_turn(loop, 5 * NS_PER_MS);
        assert_int_equal(exits, 1);
        assert_int_equal(status(id).exit_code, 4);
}

static void test_sandboxes(void **state)
{
        const char *one = sandbox("x", NULL), *two, *id = container(one, "c", true);
        struct runtime_sandbox s, *list;
        const char *first;
        size_t n;

        assert_int_equal(rt->ops->sandbox_status(rt, one, a, &s, NULL), 0);
        assert_true(s.ready);
        assert_string_equal(s.annotations, "x");
        assert_int_equal(s.n_ips, 1);
        first = s.ips[0];
        assert_string_equal(first, "10.1.2.2");
        /* What replaces another takes its containers over, ended. */
        two = sandbox(NULL, one);
        assert_int_equal(rt->ops->sandbox_status(rt, one, a, &s, NULL), RUNTIME_NOT_FOUND);
        assert_string_equal(status(id).sandbox_id, two);
        assert_int_equal(status(id).exit_code, 137);
        assert_int_equal(rt->ops->list_sandboxes(rt, a, &list, &n, NULL), 0);
        assert_int_equal(n, 1);
        assert_int_equal(rt->ops->stop_sandbox(rt, two, NULL), 0);
        rt->ops->sandbox_status(rt, two, a, &s, NULL);
        assert_false(s.ready);
        assert_int_equal(rt->ops->remove_sandbox(rt, two, NULL), 0);
        assert_int_equal(rt->ops->container_status(rt, id, a, &(struct runtime_container){ 0 }, NULL), RUNTIME_NOT_FOUND);
        assert_int_equal(rt->ops->remove_sandbox(rt, two, NULL), 0);
        assert_int_equal(rt->ops->create_container(rt, two, &(struct runtime_container_config){ .name = "c" }, a, &first, NULL),
                         RUNTIME_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_life, setup, teardown),
                cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
                cmocka_unit_test_setup_teardown(test_runs_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_sandboxes, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
