/* `colibri down` stops everything and keeps the data; `colibri reset` leaves nothing behind. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "commands.h"
#include "supervise.h"

#include "../lib/base/file.h"
#include "../lib/base/time.h"
#include "../lib/loop/process.h"

#define POLL_EVERY (10 * NS_PER_MS)

/* SIGNO, then SIGKILL after stop_s seconds. True: it ran. */
static bool stop(struct cluster *c, const char *name, int signo, int stop_s)
{
        struct process_file file;
        int64_t until = time_mono() + stop_s * NS_PER_SEC;
        bool killed = false;

        if (process_file_read(c, name, &file) < 0) {
                process_file_remove(c, name);
                return false;
        }
        kill(file.pid, signo);
        while (process_file_read(c, name, &file) == 0) {
                if (!killed && time_mono() > until) {
                        fprintf(stderr, "colibri: %s does not end, killed\n", name);
                        kill(file.pid, SIGKILL);
                        killed = true;
                }
                loop_turn(c->loop, POLL_EVERY);
        }
        process_file_remove(c, name);
        return true;
}

struct cleanup_run {
        struct cluster *c;
        const char *component;
        bool keep_data;
        int failed;
};

/* Daemons know what they leave behind: `colibri-kubelet ... --cleanup`, `colibri-proxy ... --cleanup`. The
 * kubelet's is images and volumes too, which `colibri down` keeps. */
static void run_cleanup(void *userdata)
{
        struct cleanup_run *run = userdata;
        const struct component *component = component_find(run->component);
        char **argv = component_argv(component, &run->c->settings);
        struct process_options o = { .timeout_ns = 120 * NS_PER_SEC };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct process_result result = { 0 };
        size_t n = 0;

        while (argv[n])
                n++;
        argv = xrealloc(argv, (n + 3) * sizeof(*argv));
        argv[n++] = xstrdup("--cleanup");
        if (run->keep_data && streq(run->component, "kubelet"))
                argv[n++] = xstrdup("--keep-data");
        argv[n] = NULL;
        o.argv = (const char *const *)argv;
        if (process_run(run->c->loop, &o, &result, &err) < 0) {
                fprintf(stderr, "colibri: %s --cleanup: %s\n", component->program, error_text(&err));
                run->failed = 1;
        } else if (result.status != 0) {
                fprintf(stderr, "colibri: %s --cleanup: %s", component->program, strbuf_str(&result.err));
                run->failed = 1;
        }
        process_result_deinit(&result);
        argv_free(argv);
}

static int stop_all(struct cluster *c, bool keep_data, bool *ret_any)
{
        static const char *const with_cleanup[] = { "kubelet", "proxy" };
        int failed = 0, all_s = 5;

        cluster_fill_from_machine(c);
        for (size_t i = 0; i < n_components; i++)
                all_s += components[i].stop_s;
        /* The supervisor stops and reaps its own; what it left, or lived on without it, is stopped from here. */
        *ret_any = stop(c, "supervisor", SUPERVISE_STOP_ALL, all_s);
        for (size_t i = n_components; i-- > 0;)
                if (stop(c, components[i].name, SIGTERM, components[i].stop_s))
                        *ret_any = true;
        for (size_t i = 0; i < ARRAY_SIZE(with_cleanup); i++) {
                struct cleanup_run run = { c, with_cleanup[i], keep_data, 0 };

                if (!cluster_has(c, with_cleanup[i]))
                        continue;
                fiber_run(c->loop, run_cleanup, &run);
                failed |= run.failed;
        }
        return failed;
}

int command_down(struct cluster *c, const char *const *args)
{
        bool any;
        int failed;

        if (getuid() != 0) {
                fprintf(stderr, "colibri down: needs root\n");
                return 1;
        }
        failed = stop_all(c, true, &any);
        printf(any ? "colibri is down; its data is kept\n" : "colibri did not run\n");
        return failed;
}

/* ~/.kube/config, if it is the one that `colibri up` put there. */
static void remove_user_kubeconfig(struct cluster *c)
{
        const char *home = getenv("HOME");
        _cleanup_free_ char *ours = xasprintf("%s/admin.kubeconfig", c->pki_dir), *mine = NULL, *text = NULL;
        _cleanup_free_ char *path = xasprintf("%s/.kube/config", home ? home : "/root");

        if (*c->settings.root || file_read(ours, 0, &mine, NULL, NULL) < 0 ||
            file_read(path, 0, &text, NULL, NULL) < 0)
                return;
        if (streq(mine, text))
                unlink(path);
}

/* Below --root: the folders that ours were made in, where nothing else is in them. */
static void remove_empty_parents(struct cluster *c)
{
        static const char *const dirs[] = { "etc", "var/lib", "var/log", "var", "run" };

        for (size_t i = 0; *c->settings.root && i < ARRAY_SIZE(dirs); i++) {
                _cleanup_free_ char *path = xasprintf("%s/%s", c->settings.root, dirs[i]);

                rmdir(path);
        }
}

int command_reset(struct cluster *c, const char *const *args)
{
        const char *dirs[] = { c->run_dir, c->data_dir, c->log_dir, c->config_dir };
        _cleanup_error_ struct error err = ERROR_INIT;
        bool any;
        int failed;

        if (getuid() != 0) {
                fprintf(stderr, "colibri reset: needs root\n");
                return 1;
        }
        failed = stop_all(c, false, &any);
        remove_user_kubeconfig(c);
        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
                if (dir_remove(dirs[i], &err) < 0) {
                        fprintf(stderr, "colibri reset: %s\n", error_text(&err));
                        failed = 1;
                }
        }
        remove_empty_parents(c);
        if (!failed)
                printf("colibri is gone from this machine\n");
        return failed;
}
