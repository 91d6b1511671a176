/* Control groups against folders of plain files: what is written where in either version, and how it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../lib/base/file.h"
#include "cgroup.h"

static char top[32];

static int setup(void **state)
{
        snprintf(top, sizeof(top), "/tmp/test-cgroup-XXXXXX");
        return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
        return dir_remove(top, NULL);
}

/* The kernel makes a group's files; here we do. */
static void kernel_file(const char *path, const char *text)
{
        _cleanup_free_ char *whole = xasprintf("%s/%s", top, path);

        assert_int_equal(file_write(whole, text, strlen(text), 0644, NULL), 0);
}

static void assert_file(const char *path, const char *text)
{
        _cleanup_free_ char *whole = xasprintf("%s/%s", top, path), *is = NULL;

        assert_int_equal(file_read(whole, 0, &is, NULL, NULL), 0);
        /* What is written is shorter than "untouched": the rest of that stays. */
        assert_int_equal(strncmp(is, text, strlen(text)), 0);
}

static struct cgroup_system version2(void)
{
        struct cgroup_system s = { .v2 = true, .n = 1 };

        snprintf(s.hierarchies[0].path, sizeof(s.hierarchies[0].path), "%s", top);
        s.hierarchies[0].controllers = 0xff;
        return s;
}

static struct cgroup_system version1(void)
{
        static const struct {
                const char *name;
                uint8_t bits;
        } hierarchies[] = {
                { "cpu", 1 << CGROUP_CPU | 1 << CGROUP_CPUACCT }, { "memory", 1 << CGROUP_MEMORY },
                { "cpuset", 1 << CGROUP_CPUSET }, { "freezer", 1 << CGROUP_OTHER },
        };
        struct cgroup_system s = { .n = ARRAY_SIZE(hierarchies) };

        for (size_t i = 0; i < s.n; i++) {
                snprintf(s.hierarchies[i].path, sizeof(s.hierarchies[i].path), "%s/%s", top, hierarchies[i].name);
                s.hierarchies[i].controllers = hierarchies[i].bits;
                mkdir(s.hierarchies[i].path, 0755);
        }
        return s;
}

static void test_v2(void **state)
{
        static const char *const files[] = { "cpu.weight", "cpu.max", "memory.max", "pids.max", "cpuset.cpus" };
        struct cgroup_system s = version2();
        struct runtime_resources res = { .cpu_shares = 1024, .cpu_quota_us = 50000, .cpu_period_us = 100000,
                                         .memory_limit = 64 << 20, .pids_limit = 10, .cpuset_cpus = "0-1" };

        kernel_file("cgroup.subtree_control", "");
        assert_int_equal(cgroup_make(&s, "/colibri/podx", NULL), 0);
        assert_true(cgroup_exists(&s, "/colibri/podx"));
        assert_false(cgroup_exists(&s, "/colibri/pody"));
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                _cleanup_free_ char *path = xasprintf("colibri/podx/%s", files[i]);

                kernel_file(path, "");
        }
        assert_int_equal(cgroup_set(&s, "/colibri/podx", &res, NULL), 0);
        assert_file("colibri/podx/cpu.weight", "39");
        assert_file("colibri/podx/cpu.max", "50000 100000");
        assert_file("colibri/podx/memory.max", "67108864");
        assert_file("colibri/podx/pids.max", "10");
        assert_file("colibri/podx/cpuset.cpus", "0-1");
        /* Nothing asked for is nothing touched; -1 takes a limit away. */
        kernel_file("colibri/podx/cpu.max", "");
        kernel_file("colibri/podx/memory.max", "");
        assert_int_equal(cgroup_set(&s, "/colibri/podx", &(struct runtime_resources){ .cpu_quota_us = -1 }, NULL), 0);
        assert_file("colibri/podx/cpu.max", "max 100000");
        assert_int_equal(cgroup_set(&s, "/colibri/podx", &(struct runtime_resources){ .memory_limit = -1 }, NULL), 0);
        assert_file("colibri/podx/memory.max", "max");
        assert_int_equal(cgroup_set(&s, "/colibri/pody", &res, NULL), -ENOENT);
}

static void test_v2_reads(void **state)
{
        struct cgroup_system s = version2();
        struct runtime_resources res;
        struct runtime_stats st;

        assert_int_equal(cgroup_get(&s, "/g", &res, NULL), -ENOENT);
        assert_int_equal(cgroup_make(&s, "/g", NULL), 0);
        kernel_file("g/cpu.weight", "39\n");
        kernel_file("g/cpu.max", "max 100000\n");
        kernel_file("g/memory.max", "max\n");
        kernel_file("g/pids.max", "10\n");
        kernel_file("g/cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
        kernel_file("g/memory.current", "5000\n");
        kernel_file("g/memory.stat", "anon 3000\nfile 2000\ninactive_file 1200\n");
        kernel_file("g/memory.events", "low 0\noom 3\noom_kill 2\n");
        kernel_file("g/pids.current", "4\n");
        assert_int_equal(cgroup_get(&s, "/g", &res, NULL), 0);
        assert_int_equal(res.cpu_shares, 2 + 38 * 262142 / 9999); /* rounded, as upstream reads it back */
        assert_int_equal(res.cpu_quota_us, 0);
        assert_int_equal(res.memory_limit, 0);
        assert_int_equal(res.pids_limit, 10);
        assert_int_equal(cgroup_stats(&s, "/g", &st, NULL), 0);
        assert_int_equal(st.cpu_ns, 1500000);
        assert_int_equal(st.memory_usage, 5000);
        assert_int_equal(st.memory_rss, 3000);
        assert_int_equal(st.memory_working_set, 3800);
        assert_int_equal(st.pids, 4);
        assert_int_equal(cgroup_oom_kills(&s, "/g"), 2); /* not oom's 3 */
        assert_int_equal(cgroup_oom_kills(&s, "/none"), -1);
}

static void test_v1(void **state)
{
        struct cgroup_system s = version1();
        struct runtime_resources res = { .cpu_shares = 512, .cpu_quota_us = 20000, .cpu_period_us = 100000,
                                         .memory_limit = 1 << 20, .pids_limit = 5 }, is;
        _cleanup_free_ char *path = xasprintf("%s/cpuset/a", top);
        struct runtime_stats st;

        kernel_file("cpuset/cpuset.cpus", "0-3");
        kernel_file("cpuset/cpuset.mems", "0");
        mkdir(path, 0755);
        kernel_file("cpuset/a/cpuset.cpus", "\n");
        kernel_file("cpuset/a/cpuset.mems", "\n");
        assert_int_equal(cgroup_make(&s, "/a", NULL), 0);
        assert_file("cpuset/a/cpuset.cpus", "0-3"); /* else nothing could live in it */
        assert_true(cgroup_exists(&s, "/a"));
        kernel_file("cpu/a/cpu.shares", "");
        kernel_file("cpu/a/cpu.cfs_period_us", "");
        kernel_file("cpu/a/cpu.cfs_quota_us", "");
        kernel_file("memory/a/memory.limit_in_bytes", "");
        /* No pids controller here: nothing limits, and that is no failure. */
        assert_int_equal(cgroup_set(&s, "/a", &res, NULL), 0);
        assert_file("cpu/a/cpu.shares", "512");
        assert_file("cpu/a/cpu.cfs_quota_us", "20000");
        assert_file("memory/a/memory.limit_in_bytes", "1048576");
        assert_int_equal(cgroup_get(&s, "/a", &is, NULL), 0);
        assert_int_equal(is.cpu_shares, 512);
        assert_int_equal(is.cpu_quota_us, 20000);
        assert_int_equal(is.memory_limit, 1 << 20);
        kernel_file("memory/a/memory.limit_in_bytes", "9223372036854771712");
        kernel_file("cpu/a/cpu.cfs_quota_us", "-1");
        assert_int_equal(cgroup_get(&s, "/a", &is, NULL), 0);
        assert_int_equal(is.memory_limit, 0);
        assert_int_equal(is.cpu_quota_us, 0);
        kernel_file("cpu/a/cpuacct.usage", "77");
        kernel_file("memory/a/memory.usage_in_bytes", "900");
        kernel_file("memory/a/memory.stat", "inactive_file 1\ntotal_rss 300\ntotal_inactive_file 1000\n");
        kernel_file("memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
        assert_int_equal(cgroup_stats(&s, "/a", &st, NULL), 0);
        assert_int_equal(st.cpu_ns, 77);
        assert_int_equal(st.memory_rss, 300);
        assert_int_equal(st.memory_working_set, 0); /* never below */
        assert_int_equal(cgroup_oom_kills(&s, "/a"), 1);
}

static void test_remove(void **state)
{
        struct cgroup_system s = version2();

        assert_int_equal(cgroup_make(&s, "/a/b/c", NULL), 0);
        assert_int_equal(cgroup_remove(&s, "/a", NULL), 0); /* children first */
        assert_false(cgroup_exists(&s, "/a"));
        assert_int_equal(cgroup_remove(&s, "/a", NULL), 0);
        assert_int_equal(cgroup_make(&s, "/a/b", NULL), 0);
        kernel_file("a/b/file", "in the way");
        assert_true(cgroup_remove(&s, "/a", NULL) < 0);
        assert_int_equal(cgroup_kill(&s, "/none"), 0);
}

static void test_detect(void **state)
{
        static const char hybrid[] =
                "24 1 0:21 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
                "25 24 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                "26 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
                "27 24 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                "27 24 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                "28 24 0:25 / /elsewhere/pids rw - cgroup cgroup rw,pids\n"
                "broken line\n - cgroup\n";
        struct cgroup_system s;

        assert_int_equal(cgroup_detect_from(hybrid, &s, NULL), 0);
        assert_false(s.v2);
        assert_int_equal(s.n, 3); /* each once, ours only, and the unified one that runc makes groups in too */
        assert_int_equal(s.hierarchies[0].controllers, 1 << CGROUP_CPU | 1 << CGROUP_CPUACCT | 1 << CGROUP_OTHER);
        assert_string_equal(s.hierarchies[2].path, "/sys/fs/cgroup/unified");
        assert_int_equal(cgroup_detect_from("1 1 0:1 / /proc rw - proc proc rw\n", &s, NULL), -ENOENT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_v2, setup, teardown),
                cmocka_unit_test_setup_teardown(test_v2_reads, setup, teardown),
                cmocka_unit_test_setup_teardown(test_v1, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
                cmocka_unit_test(test_detect),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
