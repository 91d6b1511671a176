/* colibri-scheduler: gives every pod a node. */
#include <signal.h>
#include <stdio.h>

#include "driver.h"

#include "../lib/base/encode.h"
#include "../lib/base/flags.h"
#include "../lib/base/log.h"
#include "../lib/client/election.h"

struct daemon {
        struct loop *loop;
        struct scheduler *scheduler;
};

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
        const char *kubeconfig = NULL, *name = "default-scheduler";
        const char *lease_namespace = "kube-system", *lease_name = "kube-scheduler";
        bool leader_elect = true;
        enum log_level level = LOG_LEVEL_INFO;
        const struct flag flags[] = {
                { "kubeconfig", FLAG_STRING, &kubeconfig, .help = "how to reach the API server; needed" },
                { "scheduler-name", FLAG_STRING, &name, .help = "the pods it is responsible for" },
                { "leader-elect", FLAG_BOOL, &leader_elect, .help = "wait for a lease before working" },
                { "leader-elect-resource-namespace", FLAG_STRING, &lease_namespace, .help = "where the lease is" },
                { "leader-elect-resource-name", FLAG_STRING, &lease_name, .help = "the lease's name" },
                { "v", FLAG_VERBOSITY, &level, .help = "from 4 on: debugging" },
        };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct daemon d = { .loop = loop_new() };
        struct election *election = NULL;
        struct client *client;
        char uuid[UUID_BUF], host[256] = "";
        int code;

        flags_parse_or_exit("colibri-scheduler", flags, ARRAY_SIZE(flags), argc, argv, NULL);
        log_init("scheduler", level);
        if (!kubeconfig) {
                log_error("--kubeconfig is needed");
                return 2;
        }
        signal(SIGPIPE, SIG_IGN);
        loop_signal(d.loop, SIGTERM, on_term, d.loop);
        loop_signal(d.loop, SIGINT, on_term, d.loop);
        if (client_new(d.loop, kubeconfig, "colibri-scheduler", &client, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        d.scheduler = scheduler_new(client, name);
        gethostname(host, sizeof(host) - 1);
        _cleanup_free_ char *identity = xasprintf("%s_%s", host, uuid_new(uuid));
        struct election_options eo = {
                .namespace = lease_namespace, .name = lease_name, .identity = identity,
                .started = on_leading, .stopped = on_lost, .userdata = &d,
        };
        if (leader_elect)
                election = election_new(client, &eo);
        else
                scheduler_start(d.scheduler);
        code = loop_run(d.loop);
        if (election)
                election_free(election);
        return code;
}
