/* Settings: what users write in colibri.yaml and what daemons get from it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "component.h"

#include "../lib/base/file.h"

static void load(struct settings *s, const char *text, int expected)
{
        char path[] = "/tmp/colibri-settings-XXXXXX";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
        assert_int_equal(settings_load(s, path, NULL), expected);
        unlink(path);
}

static void assert_setting(struct settings *s, const char *key, const char *expected)
{
        _cleanup_free_ char *value = settings_get(s, key);

        assert_string_equal(value, expected);
}

static void files_nest_and_braces_fill(void **state)
{
        struct settings s;
        unused(state);

        settings_init(&s, "/r");
        load(&s, "apiserver:\n  port: 7000\nimages:\n  mirrors:\n    docker.io: http://127.0.0.1:5000\n    quay.io: http://x\n", 0);
        assert_setting(&s, "apiserver.port", "7000");
        assert_setting(&s, "images.mirrors", "docker.io=http://127.0.0.1:5000,quay.io=http://x");
        assert_setting(&s, "etcd.certFile", "/r/etc/colibri/pki/apiserver-etcd.crt");
        settings_deinit(&s);
}

/* The socket of our own etcd, unless its path is too long for one or etcd is another's. */
static void etcd_is_reached_by_its_socket(void **state)
{
        char root[120];
        struct settings s;
        unused(state);

        settings_init(&s, "/r");
        assert_setting(&s, "etcd.servers", "unix:///r/run/colibri/etcd/client:2379");
        load(&s, "etcd:\n  endpoints: https://10.0.0.1:2379\n", 0);
        assert_setting(&s, "etcd.servers", "https://10.0.0.1:2379");
        settings_deinit(&s);
        memset(root, 'r', sizeof(root) - 1);
        root[0] = '/';
        root[sizeof(root) - 1] = '\0';
        settings_init(&s, root);
        assert_setting(&s, "etcd.servers", "https://127.0.0.1:2379");
        settings_deinit(&s);
}

static void unknown_keys_are_refused(void **state)
{
        struct settings s;
        unused(state);

        settings_init(&s, "");
        load(&s, "apiserver:\n  prot: 7000\n", -EINVAL);
        load(&s, "[1]\n", -EINVAL);
        settings_deinit(&s);
}

/* The file that `colibri up` writes reads back to what was set. */
static void the_template_reads_back(void **state)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        struct settings s, again;
        unused(state);

        settings_init(&s, "");
        settings_set(&s, "apiserver.port", "7001", NULL);
        settings_template(&s, &text);
        settings_init(&again, "");
        load(&again, text.data, 0);
        assert_setting(&again, "apiserver.port", "7001");
        assert_int_equal(again.values.n, 1);
        settings_deinit(&s);
        settings_deinit(&again);
}

/* Every setting that a command line names exists, or it would reach a daemon in braces. */
static void command_lines_fill_completely(void **state)
{
        struct settings s;
        unused(state);

        settings_init(&s, "/r");
        settings_set(&s, "scheduler.extraArgs", " --a  --b=c ", NULL);
        for (size_t i = 0; i < n_components; i++) {
                char **argv = component_argv(&components[i], &s);
                bool words = false;

                for (size_t k = 0; argv[k]; k++) {
                        assert_null(strchr(argv[k], '{'));
                        assert_false(str_has_suffix(argv[k], "="));
                        words |= streq(argv[k], "--b=c");
                }
                assert_int_equal(words, streq(components[i].name, "scheduler"));
                argv_free(argv);
        }
        settings_deinit(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(files_nest_and_braces_fill),
                cmocka_unit_test(etcd_is_reached_by_its_socket),
                cmocka_unit_test(unknown_keys_are_refused),
                cmocka_unit_test(the_template_reads_back),
                cmocka_unit_test(command_lines_fill_completely),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
