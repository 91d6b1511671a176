/* What the store costs by itself: CPU and wall time of checks, puts and lists against a real etcd.
 *
 *      bench-store [N]     N operations of each sort (1000)
 */
#include <stdio.h>
#include <sys/resource.h>

#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "etcd-for-tests.h"
#include "store.h"

static struct loop *loop;
static struct store *store;
static unsigned n_ops = 1000, running;

static double cpu_ms(void)
{
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static struct json *pod(struct arena *a, const char *name)
{
        struct json *j, *meta = json_new_object(a), *spec = json_new_object(a);
        char *s = arena_alloc(a, 3200);

        j = json_new_object(a);
        json_set_string(a, j, "kind", "Pod");
        json_set_string(a, j, "apiVersion", "v1");
        json_set(a, j, "metadata", meta);
        json_set_string(a, meta, "name", name);
        json_set_string(a, meta, "namespace", "default");
        json_set(a, j, "spec", spec);
        memset(s, 'x', 3200);
        json_set(a, spec, "nodeName", json_new_stringn(a, s, 3200));
        return j;
}

static void put_one(unsigned i, struct arena *a)
{
        char name[32], key[64];
        struct entry *e;

        snprintf(name, sizeof(name), "pod-%06u", i);
        snprintf(key, sizeof(key), "/registry/pods/default/%s", name);
        if (store_put(store, builtin_resource("", "v1", "pods"), key, pod(a, name), 0, &e, NULL) == 0)
                entry_unref(e);
}

static void report(const char *what, unsigned n, int64_t began, double cpu)
{
        double wall = (double)(time_mono() - began) / 1e6;

        printf("%-34s %8.1f us CPU, %8.1f us each of %u\n", what, (cpu_ms() - cpu) * 1e3 / n, wall * 1e3 / n, n);
}

static void many_puts(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        put_one((unsigned)(uintptr_t)userdata, a);
        running--;
}

static void many_syncs(void *userdata)
{
        store_sync(store, NULL);
        running--;
}

static void bench(void *userdata)
{
        int64_t began;
        double cpu;

        store_sync(store, NULL);
        began = time_mono();
        cpu = cpu_ms();
        for (unsigned i = 0; i < n_ops; i++)
                store_sync(store, NULL);
        report("check of the revision, one by one", n_ops, began, cpu);

        began = time_mono();
        cpu = cpu_ms();
        for (unsigned i = 0; i < n_ops; i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                put_one(i, a);
        }
        report("put of 3.5 KB, one by one", n_ops, began, cpu);

        began = time_mono();
        cpu = cpu_ms();
        running = n_ops;
        for (unsigned i = 0; i < n_ops; i++)
                fiber_start(loop, many_puts, (void *)(uintptr_t)(n_ops + i));
        while (running)
                fiber_sleep(NS_PER_MS);
        report("puts all at once", n_ops, began, cpu);

        began = time_mono();
        cpu = cpu_ms();
        for (unsigned round = 0; round < n_ops / 10; round++) {
                running = 100;
                for (unsigned i = 0; i < 100; i++)
                        fiber_start(loop, many_syncs, NULL);
                while (running)
                        fiber_sleep(0);
        }
        report("checks, 100 in a turn", n_ops * 10, began, cpu);
}

int main(int argc, char **argv)
{
        struct test_etcd etcd;
        const char *endpoints[] = { NULL, NULL };
        struct store_options o = { .endpoints = endpoints, .compact_every_ns = -1 };
        struct store_stats stats;

        if (argc > 1)
                n_ops = (unsigned)atoi(argv[1]);
        if (!test_etcd_start(&etcd))
                return 0;
        endpoints[0] = etcd.endpoint;
        loop = loop_new();
        if (store_new(loop, &o, &store, NULL) < 0)
                return 1;
        fiber_run(loop, bench, NULL);
        store_stats(store, &stats);
        printf("%zu objects in %zu KB\n", stats.objects, stats.bytes / 1024);
        test_etcd_stop(&etcd);
        return 0;
}
