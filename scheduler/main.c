/* colibri-scheduler: gives every pod a node. */
#include <signal.h>
#include <stdio.h>

#include "driver.h"

#include "../lib/base/encode.h"
#include "../lib/base/log.h"
#include "../lib/client/election.h"

struct daemon {
        struct loop *loop;
        struct scheduler *scheduler;
};

struct options {
        const char *kubeconfig, *name, *lease_namespace, *lease_name;
        bool leader_elect;
};

static int parse(int argc, char **argv, struct options *o)
{
        const struct {
                const char *name;
                const char **value;
        } strings[] = {
                { "--kubeconfig=", &o->kubeconfig },
                { "--scheduler-name=", &o->name },
                { "--leader-elect-resource-namespace=", &o->lease_namespace },
                { "--leader-elect-resource-name=", &o->lease_name },
        };

        for (int i = 1; i < argc; i++) {
                bool known = false;

                for (size_t k = 0; k < ARRAY_SIZE(strings); k++)
                        if (str_has_prefix(argv[i], strings[k].name)) {
                                *strings[k].value = argv[i] + strlen(strings[k].name);
                                known = true;
                        }
                if (streq(argv[i], "--leader-elect") || streq(argv[i], "--leader-elect=true"))
                        known = o->leader_elect = true;
                else if (streq(argv[i], "--leader-elect=false"))
                        known = !(o->leader_elect = false);
                if (!known) {
                        fprintf(stderr, "colibri-scheduler: unknown flag: %s\n", argv[i]);
                        return -EINVAL;
                }
        }
        if (!o->kubeconfig) {
                fprintf(stderr, "colibri-scheduler: --kubeconfig=FILE is needed\n");
                return -EINVAL;
        }
        return 0;
}

static void on_term(int signo, void *userdata)
{
        loop_stop(userdata, 0);
}

static void on_leading(void *userdata)
{
        struct daemon *d = userdata;

        scheduler_start(d->scheduler);
}

static void on_lost(void *userdata)
{
        struct daemon *d = userdata;

        log_error("leader election lost");
        loop_stop(d->loop, 1);
}

int main(int argc, char **argv)
{
        struct options o = {
                .name = "default-scheduler", .lease_namespace = "kube-system", .lease_name = "kube-scheduler",
                .leader_elect = true,
        };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct daemon d = { .loop = loop_new() };
        struct election *election = NULL;
        struct client *client;
        char uuid[UUID_BUF], host[256] = "";
        int code;

        log_init("scheduler", LOG_LEVEL_INFO);
        if (parse(argc, argv, &o) < 0)
                return 2;
        signal(SIGPIPE, SIG_IGN);
        loop_signal(d.loop, SIGTERM, on_term, d.loop);
        loop_signal(d.loop, SIGINT, on_term, d.loop);
        if (client_new(d.loop, o.kubeconfig, "colibri-scheduler", &client, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        d.scheduler = scheduler_new(client, o.name);
        gethostname(host, sizeof(host) - 1);
        _cleanup_free_ char *identity = xasprintf("%s_%s", host, uuid_new(uuid));
        struct election_options eo = {
                .namespace = o.lease_namespace, .name = o.lease_name, .identity = identity,
                .started = on_leading, .stopped = on_lost, .userdata = &d,
        };
        if (o.leader_elect)
                election = election_new(client, &eo);
        else
                scheduler_start(d.scheduler);
        code = loop_run(d.loop);
        if (election)
                election_free(election);
        return code;
}
