/* The runc runtime against the real machine: only as root and where runc and conmon are; skipped elsewhere.
 *
 *      COLIBRI_HELPERS=DIR       where colibri-pause and colibri-unpack are; beside this program by default
 *      COLIBRI_TEST_LAYOUT=DIR   an OCI layout with an image "busybox"; without it the test is skipped
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "../images/images.h"
#include "cleanup.h"
#include "runtime.h"

static struct loop *loop;
static const char *layout;
static struct runtime_options options;
static char root[64], run[64];

#define must(x)                                                                                    \
        do {                                                                                       \
                int _r = (x);                                                                      \
                if (_r)                                                                            \
                        fail_msg("%s: %d %s", #x, _r, err.message ? err.message : "");             \
        } while (0)

static struct runtime_container wait_end(struct runtime *r, struct arena *a, const char *id)
{
        struct error err = ERROR_INIT;
        struct runtime_container c;

        for (int i = 0; i < 2000; i++) {
                must(r->ops->container_status(r, id, a, &c, &err));
                if (c.state == RUNTIME_CONTAINER_EXITED)
                        return c;
                fiber_sleep(5 * NS_PER_MS);
        }
        fail_msg("the container does not end");
        return c;
}

static const char *start(struct runtime *r, struct arena *a, const char *sandbox, const char *const *command,
                         int64_t memory, int *ret)
{
        static unsigned n;
        struct error err = ERROR_INIT;
        struct runtime_image image;
        struct runtime_container_config c = {
                .name = arena_printf(a, "c%u", n++), .image = "busybox", .command = command,
                .log_path = arena_printf(a, "c%u/0.log", n), .resources = { .memory_limit = memory, .oom_score_adj = -997 },
                .security = { .run_as_user = -1, .run_as_group = -1 },
        };
        const char *id;
        int64_t t0;

        must(r->ops->image_status(r, "busybox", a, &image, &err));
        c.image_id = image.id;
        t0 = time_mono();
        must(r->ops->create_container(r, sandbox, &c, a, &id, &err));
        int64_t t1 = time_mono();
        *ret = r->ops->start_container(r, id, &err);
        printf("create %.1f ms, start %.1f ms: %d %s\n", (double)(t1 - t0) / 1e6, (double)(time_mono() - t1) / 1e6, *ret,
               err.message ? err.message : "");
        error_deinit(&err);
        return id;
}

static void body(void *userdata)
{
        struct error err = ERROR_INIT;
        struct arena *a = arena_new(0);
        struct image_store_options so = { .dir = arena_printf(a, "%s/images", root), .helpers = getenv("COLIBRI_HELPERS") };
        struct image_store *store;
        struct runtime *r;
        struct runtime_container c;
        struct runtime_exec_result x;
        const char **names, *sandbox, *id;
        size_t n;
        int code;
        struct runtime_sandbox_config sc = {
                .pod_name = "p", .pod_namespace = "default", .pod_uid = "uid-1", .qos_class = "BestEffort",
                .hostname = "p", .log_directory = arena_printf(a, "%s/logs", root), .run_as_user = -1, .run_as_group = -1,
                .resolv_conf = "nameserver 10.0.0.10\n", .share_pid = userdata != NULL,
        };
        int64_t t0;

        must(image_store_open(loop, &so, &store, &err));
        must(image_store_load(store, layout, NULL, false, a, &names, &n, &err));
        assert_string_equal(names[0], "docker.io/library/busybox:latest");
        image_store_free(store);
        must(runtime_runc_new(loop, &options, &r, &err));
        must(r->ops->ready(r, &err));
        t0 = time_mono();
        must(r->ops->run_sandbox(r, &sc, a, &sandbox, &err));
        printf("sandbox %.1f ms\n", (double)(time_mono() - t0) / 1e6);

        id = start(r, a, sandbox, (const char *const[]){ "sh", "-c", "id; cat /etc/hosts; ip addr; exit 3", NULL }, 0, &code);
        assert_int_equal(code, 0);
        c = wait_end(r, a, id);
        assert_int_equal(c.exit_code, 3);
        assert_string_equal(c.reason, "Error");
        char *log;
        must(file_read(c.log_path, 0, &log, NULL, &err));
        printf("%s", log);
        assert_non_null(strstr(log, "stdout F uid=0"));
        free(log);

        start(r, a, sandbox, (const char *const[]){ "/no/such", NULL }, 0, &code);
        assert_int_equal(code, RUNTIME_START_FAILED);
        id = start(r, a, sandbox, (const char *const[]){ "sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=200M count=2", NULL },
              20 << 20, &code);
        assert_int_equal(code, 0);
        c = wait_end(r, a, id);
        assert_string_equal(c.reason, "OOMKilled");
        assert_int_equal(c.exit_code, 137);

        id = start(r, a, sandbox, (const char *const[]){ "sleep", "1000", NULL }, 0, &code);
        t0 = time_mono();
        must(r->ops->exec_sync(r, id, (const char *const[]){ "sh", "-c", "echo hi; exit 7", NULL }, 5 * NS_PER_SEC, &x, &err));
        printf("exec %.1f ms\n", (double)(time_mono() - t0) / 1e6);
        assert_int_equal(x.exit_code, 7);
        assert_string_equal(strbuf_str(&x.out), "hi\n");
        runtime_exec_result_deinit(&x);
        assert_true(r->ops->exec_sync(r, id, (const char *const[]){ "nope", NULL }, 0, &x, &err) < 0);
        printf("%s\n", err.message);

        /* A kubelet that is gone, and one that comes: nothing is restarted, nothing forgotten. */
        runtime_free(r);
        must(runtime_runc_new(loop, &options, &r, &err));
        must(r->ops->container_status(r, id, a, &c, &err));
        assert_int_equal(c.state, RUNTIME_CONTAINER_RUNNING);
        t0 = time_mono();
        must(r->ops->stop_container(r, id, 0, &err));
        printf("kill %.1f ms\n", (double)(time_mono() - t0) / 1e6);
        c = wait_end(r, a, id);
        assert_int_equal(c.exit_code, 137);
        t0 = time_mono();
        must(r->ops->remove_sandbox(r, sandbox, &err));
        printf("remove %.1f ms\n", (double)(time_mono() - t0) / 1e6);
        runtime_free(r);
        error_deinit(&err);
        arena_free(a);
}

static void real_containers(void **state)
{
        struct error err = ERROR_INIT;
        struct node_cleanup_options o = { .root = root, .run = run, .cgroup = "colibri-test-runc", .bridge = "colibtest0" };

        if (!layout || getuid() != 0)
                skip();
        for (int share = 0; share < 2; share++)
                fiber_run(loop, body, share ? (void *)1 : NULL);
        must(node_cleanup(&o, &err));
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(real_containers) };
        int r;

        layout = getenv("COLIBRI_TEST_LAYOUT");
        loop = loop_new();
        snprintf(root, sizeof(root), "/tmp/colibri-test-%d/lib", (int)getpid());
        snprintf(run, sizeof(run), "/tmp/colibri-test-%d/run", (int)getpid());
        options = (struct runtime_options){ .root = root, .run = run, .cgroup = "colibri-test-runc", .bridge = "colibtest0",
                                            .pod_cidr = "10.251.7.0/24", .helpers = getenv("COLIBRI_HELPERS") };
        r = cmocka_run_group_tests(tests, NULL, NULL);
        loop_free(loop);
        return r;
}
