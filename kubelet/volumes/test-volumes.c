/* Volumes: the atomic writer's promises, and what configMaps, secrets, tokens and the downward API become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "atomic.h"
#include "downward.h"
#include "ownership.h"
#include "volumes.h"

static char top[40];
static struct arena *a;

static int setup(void **state)
{
        snprintf(top, sizeof(top), "/tmp/test-volumes-XXXXXX");
        a = arena_new(0);
        return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
        arena_free(a);
        return dir_remove(top, NULL);
}

static const char *content(const char *path)
{
        _cleanup_free_ char *whole = xasprintf("%s/%s", top, path), *text = NULL;

        return file_read(whole, 0, &text, NULL, NULL) < 0 ? NULL : arena_strdup(a, text);
}

static mode_t mode_of(const char *path)
{
        struct stat st;

        assert_int_equal(stat(arena_printf(a, "%s/%s", top, path), &st), 0);
        return st.st_mode & 07777;
}

/* Names in the folder, those of the writer ("..data" and the stamp) counted only. */
static const char *names(size_t *ret_own)
{
        struct dirent **list;
        int n = scandir(top, &list, NULL, alphasort);
        const char *out = "";

        *ret_own = 0;
        for (int i = 0; i < n; i++) {
                if (!streq(list[i]->d_name, ".") && !streq(list[i]->d_name, "..")) {
                        if (str_has_prefix(list[i]->d_name, ".."))
                                ++*ret_own;
                        else
                                out = arena_printf(a, "%s%s ", out, list[i]->d_name);
                }
                free(list[i]);
        }
        free(list);
        return out;
}

#define FILE_(p, t) { .path = p, .data = t, .len = sizeof(t) - 1, .mode = 0644, .uid = -1 }

static void test_atomic(void **state)
{
        const struct atomic_file one[] = { FILE_("a", "1"), FILE_("dir/b", "2") };
        const struct atomic_file two[] = { FILE_("dir/c", "3"), { .path = "a", .data = "0", .len = 1, .mode = 0400, .uid = -1 } };
        const char *data = arena_printf(a, "%s/..data", top);
        char stamp[2][256] = { 0 };
        size_t own;

        assert_int_equal(atomic_write(top, one, 2, -1, NULL), 0);
        assert_string_equal(content("a"), "1");
        assert_string_equal(content("dir/b"), "2");
        assert_string_equal(names(&own), "a dir ");
        assert_int_equal(own, 2);
        assert_int_equal(mode_of("a"), 0644);
        assert_true(readlink(data, stamp[0], 255) > 0);
        /* The same again writes nothing. */
        assert_int_equal(atomic_write(top, one, 2, -1, NULL), 0);
        assert_true(readlink(data, stamp[1], 255) > 0);
        assert_string_equal(stamp[0], stamp[1]);
        /* Another set: what is no more is gone, also the folder before it. */
        assert_int_equal(atomic_write(top, two, 2, -1, NULL), 0);
        assert_true(readlink(data, stamp[1], 255) > 0);
        assert_string_not_equal(stamp[0], stamp[1]);
        assert_string_equal(content("a"), "0");
        assert_int_equal(mode_of("a"), 0400);
        assert_null(content("dir/b"));
        assert_string_equal(content("dir/c"), "3");
        names(&own);
        assert_int_equal(own, 2);
        assert_int_equal(atomic_write(top, two, 1, -1, NULL), 0);
        assert_string_equal(names(&own), "dir ");
        assert_int_equal(atomic_write(top, NULL, 0, -1, NULL), 0);
        assert_string_equal(names(&own), "");
}

/* A path from an object must not lead out of the volume, and what was there stays. */
static void test_atomic_refuses(void **state)
{
        static const char *const paths[] = { "", "/etc/x", "..", "../x", "a/../../x", "a//b", "..x" };
        const struct atomic_file good[] = { FILE_("a", "1") };
        size_t own;

        assert_int_equal(atomic_write(top, good, 1, -1, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                const struct atomic_file bad[] = { FILE_("b", "1"), { .path = paths[i], .data = "x", .len = 1, .mode = 0644, .uid = -1 } };

                assert_int_equal(atomic_write(top, bad, 2, -1, NULL), -EINVAL);
        }
        assert_string_equal(names(&own), "a ");
        assert_int_equal(own, 2);
}

static void test_group(void **state)
{
        if (geteuid() != 0)
                skip();
        const char *dir = arena_printf(a, "%s/v", top), *file = arena_printf(a, "%s/v/f", top);
        struct stat st;

        mkdir(dir, 0700);
        assert_int_equal(file_write(file, "x", 1, 0600, NULL), 0);
        assert_int_equal(symlink("/", arena_printf(a, "%s/v/link", top)), 0);
        assert_int_equal(volume_give_to_group(dir, 4321, false, NULL), 0);
        stat(dir, &st);
        assert_int_equal(st.st_gid, 4321);
        assert_int_equal(st.st_mode & 07777, 02770);
        stat(file, &st);
        assert_int_equal(st.st_gid, 4321);
        assert_int_equal(st.st_mode & 07777, 0660);
        stat("/", &st);
        assert_int_not_equal(st.st_gid, 4321); /* no link was followed */
        /* Lazy: the folder has it all, so what is below stays. */
        assert_int_equal(file_write(arena_printf(a, "%s/v/later", top), "x", 1, 0600, NULL), 0);
        assert_int_equal(volume_give_to_group(dir, 4321, true, NULL), 0);
        assert_int_equal(mode_of("v/later"), 0600);
}

/* --- a pod's volumes, with objects of our own --- */

static struct loop *loop;
static unsigned tokens;

static struct json *parse(struct arena *arena, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(arena, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static int get(const char *resource, const char *namespace, const char *name, struct arena *arena, struct json **ret,
               void *userdata, struct error *reterr)
{
        if (streq(resource, "persistentvolumes")) {
                *ret = parse(arena, arena_printf(arena, "{\"spec\":{\"claimRef\":{\"uid\":\"%s\"},\"hostPath\":{\"path\":\"/tmp\"}}}", name));
                return streq(name, "gone") ? VOLUMES_NOT_FOUND : 0;
        }
        assert_string_equal(namespace, "ns");
        if (streq(resource, "persistentvolumeclaims") && !streq(name, "none")) {
                const char *phase = streq(name, "waits") ? "Pending" : "Bound", *going = streq(name, "going") ? "x" : NULL;
                *ret = parse(arena, arena_printf(arena,
                                                 "{\"metadata\":{\"uid\":\"%s\"%s},\"spec\":{\"volumeName\":\"%s\"},"
                                                 "\"status\":{\"phase\":\"%s\"}}",
                                                 streq(name, "other") ? "u2" : "u1", going ? ",\"deletionTimestamp\":\"t\"" : "",
                                                 streq(name, "lost") ? "gone" : "u1", phase));
                return 0;
        }
        if (streq(resource, "configmaps") && streq(name, "cm"))
                *ret = parse(arena, "{\"data\":{\"k\":\"v\",\"l\":\"w\"},\"binaryData\":{\"b\":\"AAE=\"}}");
        else if (streq(resource, "secrets") && streq(name, "s"))
                *ret = parse(arena, "{\"data\":{\"p\":\"cGFzcw==\"}}");
        else
                return VOLUMES_NOT_FOUND;
        return 0;
}

static int token(const struct json *pod, const char *audience, int64_t seconds, struct arena *arena, const char **ret,
                 int64_t *ret_expires, void *userdata, struct error *reterr)
{
        *ret = arena_printf(arena, "token %u for %s", ++tokens, audience ? audience : "us");
        *ret_expires = time_real() + seconds * NS_PER_SEC;
        return 0;
}

static struct json *pod_with(const char *volumes)
{
        return parse(a, arena_printf(a,
                                     "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"uid-1\",\"labels\":{\"x\":\"y\"}},"
                                     "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],\"volumes\":[%s]}}", volumes));
}

struct run {
        struct volumes *v;
        const char *volumes;
        struct error err;
        int64_t next;
        int result;
};

static void set_up(void *userdata)
{
        struct run *r = userdata;

        r->result = volumes_setup(r->v, pod_with(r->volumes), &r->next, &r->err);
}

static void tear_down(void *userdata)
{
        struct run *r = userdata;

        r->result = volumes_teardown(r->v, "uid-1", &r->err);
}

static struct run with_volumes(const char *text)
{
        const struct volumes_options o = { .root = top, .node_name = "n", .fetch = { get, token, NULL } };
        struct run r = { .volumes = text, .err = ERROR_INIT };

        loop = loop_new();
        assert_int_equal(volumes_new(loop, &o, &r.v, NULL), 0);
        fiber_run(loop, set_up, &r);
        return r;
}

static void finish(struct run *r)
{
        fiber_run(loop, tear_down, r);
        assert_int_equal(r->result, 0);
        assert_false(file_exists(arena_printf(a, "%s/pods/uid-1", top)));
        volumes_free(r->v);
        error_deinit(&r->err);
        loop_free(loop);
}

#define AT(kind, path) "pods/uid-1/volumes/kubernetes.io~" kind "/" path

static void test_config_map(void **state)
{
        struct run r = with_volumes("{\"name\":\"v\",\"configMap\":{\"name\":\"cm\",\"defaultMode\":288}},"
                                    "{\"name\":\"w\",\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"k\",\"path\":\"d/e\",\"mode\":256}]}},"
                                    "{\"name\":\"o\",\"configMap\":{\"name\":\"none\",\"optional\":true}},"
                                    "{\"name\":\"e\",\"emptyDir\":{}}");

        assert_int_equal(r.result, 0);
        assert_int_equal(r.next, 0);
        assert_string_equal(content(AT("configmap", "v/k")), "v");
        assert_string_equal(content(AT("configmap", "v/l")), "w");
        assert_int_equal(mode_of(AT("configmap", "v/k")), 0440);
        assert_non_null(content(AT("configmap", "v/b")));
        assert_string_equal(content(AT("configmap", "w/d/e")), "v");
        assert_int_equal(mode_of(AT("configmap", "w/d/e")), 0400);
        assert_null(content(AT("configmap", "w/k")));
        assert_int_equal(mode_of(AT("empty-dir", "e")), 0777);
        finish(&r);
}

static void test_failures(void **state)
{
        static const struct {
                const char *volume, *text;
        } cases[] = {
                { "{\"name\":\"v\",\"configMap\":{\"name\":\"none\"}}", "MountVolume.SetUp failed for volume \"v\" : configmap \"none\" not found" },
                { "{\"name\":\"v\",\"configMap\":{\"name\":\"cm\",\"items\":[{\"key\":\"zz\",\"path\":\"z\"}]}}",
                  "MountVolume.SetUp failed for volume \"v\" : references non-existent config key: zz" },
                { "{\"name\":\"v\",\"hostPath\":{\"path\":\"/none/of/it\",\"type\":\"Directory\"}}",
                  "MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: /none/of/it is not a directory" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct run r = with_volumes(cases[i].volume);

                assert_int_not_equal(r.result, 0);
                assert_string_equal(error_text(&r.err), cases[i].text);
                finish(&r);
        }
}

/* Secrets and tokens live in memory only: that takes a mount. */
/* What is wrong with claims is told before anything is mounted, and of all at once. */
static void test_claims(void **state)
{
        static const struct {
                const char *claim, *why;
        } cases[] = {
                {"none", "failed to fetch PVC from API server: persistentvolumeclaims \"none\" not found"},
                {"waits", "PVC is not bound"},
                {"going", "PVC is being deleted"},
                {"lost", "failed to fetch PV gone from API server: persistentvolumes \"gone\" not found"},
                {"other", "found PV object u1 but its pv.Spec.ClaimRef.UID u1 does not point to claim.UID u2"},
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct run r = with_volumes(arena_printf(a, "{\"name\":\"v\",\"emptyDir\":{}},"
                                                            "{\"name\":\"c\",\"persistentVolumeClaim\":{\"claimName\":\"%s\"}},"
                                                            "{\"name\":\"b\",\"persistentVolumeClaim\":{\"claimName\":\"well\"}}",
                                                         cases[i].claim));
                assert_int_equal(r.result, -EAGAIN);
                assert_string_equal(error_text(&r.err),
                                    arena_printf(a, "Unable to attach or mount volumes: unmounted volumes=[b c v], unattached volumes=[], "
                                                    "failed to process volumes=[c]: error processing PVC ns/%s: %s",
                                                 cases[i].claim, cases[i].why));
                assert_false(file_exists(arena_printf(a, "%s/%s", top, AT("empty-dir", "v"))));
                finish(&r);
        }
        struct run r = with_volumes("{\"name\":\"b\",\"persistentVolumeClaim\":{\"claimName\":\"well\"}}");
        assert_int_equal(r.result, 0);
        assert_string_equal(content("pods/uid-1/claims/b"), "/tmp");
        finish(&r);
}

static void test_projected(void **state)
{
        struct run r = with_volumes("{\"name\":\"v\",\"projected\":{\"sources\":[{\"secret\":{\"name\":\"s\"}},"
                                    "{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":600}},"
                                    "{\"downwardAPI\":{\"items\":[{\"path\":\"labels\",\"fieldRef\":{\"fieldPath\":\"metadata.labels\"}}]}}]}}");

        if (r.result < 0 && strstr(error_text(&r.err), "cannot mount")) {
                finish(&r);
                skip(); /* no right to mount here */
        }
        assert_int_equal(r.result, 0);
        assert_string_equal(content(AT("projected", "v/p")), "pass");
        assert_string_equal(content(AT("projected", "v/token")), "token 1 for us");
        assert_string_equal(content(AT("projected", "v/labels")), "x=\"y\"");
        /* Asked for again when four fifths of its life are over, not before. */
        assert_true(r.next > time_real() + 470 * NS_PER_SEC && r.next < time_real() + 490 * NS_PER_SEC);
        fiber_run(loop, set_up, &r);
        assert_string_equal(content(AT("projected", "v/token")), "token 1 for us");
        finish(&r);
}

static void test_uses(void **state)
{
        struct json *pod = pod_with("{\"name\":\"v\",\"configMap\":{\"name\":\"cm\"}},"
                                    "{\"name\":\"w\",\"projected\":{\"sources\":[{\"secret\":{\"name\":\"s\"}}]}}");

        assert_true(volumes_uses(pod, "configmaps", "cm"));
        assert_true(volumes_uses(pod, "secrets", "s"));
        assert_false(volumes_uses(pod, "secrets", "cm"));
        assert_false(volumes_uses(pod, "configmaps", "other"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_atomic, setup, teardown),
                cmocka_unit_test_setup_teardown(test_atomic_refuses, setup, teardown),
                cmocka_unit_test_setup_teardown(test_group, setup, teardown),
                cmocka_unit_test_setup_teardown(test_config_map, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
                cmocka_unit_test_setup_teardown(test_claims, setup, teardown),
                cmocka_unit_test_setup_teardown(test_projected, setup, teardown),
                cmocka_unit_test_setup_teardown(test_uses, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
