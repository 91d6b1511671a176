/* colibri-unpack on layers of people who mean no good: whatever a layer says, nothing outside of its folder changes.
 *
 * The layers are written here, byte by byte: tar programs refuse to make most of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../lib/base/file.h"
#include "images.h"

static char dir[64], layer[96], tarball[96];
static FILE *tar;

/* One member of a tar archive, in ustar's form. */
static void member(const char *name, char type, unsigned mode, const char *link, const char *data)
{
        unsigned char head[512] = { 0 };
        size_t size = data ? strlen(data) : 0;
        unsigned sum = 0;
        char *h = (char *)head;

        snprintf(h, 100, "%s", name);
        snprintf(h + 100, 8, "%07o", mode);
        snprintf(h + 108, 8, "%07o", 0);
        snprintf(h + 116, 8, "%07o", 0);
        snprintf(h + 124, 12, "%011zo", size);
        snprintf(h + 136, 12, "%011o", 0);
        h[156] = type;
        snprintf(h + 157, 100, "%s", link ? link : "");
        memcpy(h + 257, "ustar\0" "00", 8);
        snprintf(h + 329, 8, "%07o", 1); /* of devices: 1, 3 is null */
        snprintf(h + 337, 8, "%07o", 3);
        memset(h + 148, ' ', 8);
        for (size_t i = 0; i < sizeof(head); i++)
                sum += head[i];
        snprintf(h + 148, 8, "%06o", sum);
        fwrite(head, 1, sizeof(head), tar);
        if (size) {
                char block[512] = { 0 };
                memcpy(block, data, size);
                fwrite(block, 1, sizeof(block), tar);
        }
}

static int begin(void **state)
{
        snprintf(dir, sizeof(dir), "/tmp/test-unpack-XXXXXX");
        assert_non_null(mkdtemp(dir));
        snprintf(layer, sizeof(layer), "%s/layer", dir);
        snprintf(tarball, sizeof(tarball), "%s/layer.tar", dir);
        assert_int_equal(mkdir(layer, 0755), 0);
        assert_int_equal(file_write(arena_printf(*state = arena_new(0), "%s/secret", dir), "safe", 4, 0600, NULL), 0);
        tar = fopen(tarball, "w");
        return 0;
}

static int end(void **state)
{
        dir_remove(dir, NULL);
        arena_free(*state);
        return 0;
}

static int unpack(struct arena *a)
{
        static const char zeros[1024];
        int status;
        pid_t pid;

        fwrite(zeros, 1, sizeof(zeros), tar);
        fclose(tar);
        pid = fork();
        if (pid == 0) {
                const char *program = helper_path(a, NULL, "colibri-unpack");
                if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
                        _exit(126);
                execl(program, program, "layer", tarball, layer, (char *)NULL);
                _exit(127);
        }
        waitpid(pid, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_not_equal(WEXITSTATUS(status), 127);
        return WEXITSTATUS(status);
}

static void assert_outside_untouched(struct arena *a)
{
        char *text = NULL;
        struct stat st;

        assert_int_equal(file_read(arena_printf(a, "%s/secret", dir), 0, &text, NULL, NULL), 0);
        assert_string_equal(text, "safe");
        free(text);
        assert_int_equal(stat(arena_printf(a, "%s/secret", dir), &st), 0);
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(access(arena_printf(a, "%s/escaped", dir), F_OK), -1);
        assert_int_equal(access("/escaped-from-a-layer", F_OK), -1);
}

static bool there(struct arena *a, const char *name)
{
        struct stat st;

        return lstat(arena_printf(a, "%s/%s", layer, name), &st) == 0;
}

static void test_dots_and_slashes(void **state)
{
        member("../escaped", '0', 0644, NULL, "x");
        member("a/../../escaped", '0', 0644, NULL, "x");
        member("/escaped-from-a-layer", '0', 0644, NULL, "x");
        member("good", '0', 0644, NULL, "x");
        unpack(*state);
        assert_outside_untouched(*state);
}

/* The way of most escapes: a link first, then a file through it. */
static void test_links_out(void **state)
{
        member("out", '2', 0777, dir, NULL);
        member("out/secret", '0', 0644, NULL, "taken");
        member("up", '2', 0777, "../..", NULL);
        member("up/escaped", '0', 0644, NULL, "x");
        member("file", '2', 0777, arena_printf(*state, "%s/secret", dir), NULL);
        member("file", '0', 0666, NULL, "taken");
        unpack(*state);
        assert_outside_untouched(*state);
}

static void test_hard_links_out(void **state)
{
        member("hard", '1', 0644, "../secret", NULL);
        member("hard2", '1', 0644, arena_printf(*state, "%s/secret", dir), NULL);
        member("out", '2', 0777, dir, NULL);
        member("hard3", '1', 0644, "out/secret", NULL);
        member("hard3", '0', 0644, NULL, "taken");
        unpack(*state);
        assert_outside_untouched(*state);
}

static void test_whiteouts(void **state)
{
        struct stat st;

        member("etc", '5', 0755, NULL, NULL);
        member("etc/.wh.gone", '0', 0644, NULL, NULL);
        member("var", '5', 0755, NULL, NULL);
        member("var/.wh..wh..opq", '0', 0644, NULL, NULL);
        member("var/new", '0', 0644, NULL, "x");
        assert_int_equal(unpack(*state), 0);
        assert_int_equal(lstat(arena_printf(*state, "%s/etc/gone", layer), &st), 0);
        assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
        assert_false(there(*state, "etc/.wh.gone"));
        assert_false(there(*state, "var/.wh..wh..opq"));
        assert_true(there(*state, "var/new"));
}

/* A whiteout is a name to be hidden: never a path. */
static void test_whiteouts_out(void **state)
{
        member("out", '2', 0777, dir, NULL);
        member("out/.wh.secret", '0', 0644, NULL, NULL);
        member(".wh...", '0', 0644, NULL, NULL);
        member(".wh..", '0', 0644, NULL, NULL);
        member("../.wh.secret", '0', 0644, NULL, NULL);
        member(".wh.", '0', 0644, NULL, NULL);
        unpack(*state);
        assert_outside_untouched(*state);
}

static void test_plain(void **state)
{
        struct stat st;
        char *text = NULL;

        member("./bin/", '5', 0755, NULL, NULL);
        member("./bin/tool", '0', 04755, NULL, "code");
        member("./bin/link", '2', 0777, "/bin/tool", NULL);
        member("./bin/twin", '1', 0755, "./bin/tool", NULL);
        member("deep/er/file", '0', 0640, NULL, "x");
        assert_int_equal(unpack(*state), 0);
        assert_int_equal(stat(arena_printf(*state, "%s/bin/tool", layer), &st), 0);
        assert_int_equal(st.st_mode & 07777, 04755);
        assert_int_equal(st.st_nlink, 2);
        assert_int_equal(file_read(arena_printf(*state, "%s/bin/tool", layer), 0, &text, NULL, NULL), 0);
        assert_string_equal(text, "code");
        free(text);
        assert_true(there(*state, "bin/link"));
        assert_true(there(*state, "deep/er/file"));
}

static void test_cut_short(void **state)
{
        member("file", '0', 0644, NULL, "x");
        fseek(tar, -200, SEEK_END);
        fflush(tar);
        assert_int_equal(ftruncate(fileno(tar), 700), 0);
        fclose(tar);
        tar = fopen("/dev/null", "w"); /* no end either */
        assert_int_not_equal(unpack(*state), 0);
}

int main(void)
{
        if (geteuid() != 0) {
                fprintf(stderr, "layers are unpacked by root only\n");
                return 1;
        }
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_dots_and_slashes, begin, end),
                cmocka_unit_test_setup_teardown(test_links_out, begin, end),
                cmocka_unit_test_setup_teardown(test_hard_links_out, begin, end),
                cmocka_unit_test_setup_teardown(test_whiteouts, begin, end),
                cmocka_unit_test_setup_teardown(test_whiteouts_out, begin, end),
                cmocka_unit_test_setup_teardown(test_plain, begin, end),
                cmocka_unit_test_setup_teardown(test_cut_short, begin, end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
