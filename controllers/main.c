/* colibri-controllers: options, the client, leader election, and the list of controllers to drive. */
#include "controllers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "../lib/base/encode.h"
#include "../lib/base/file.h"
#include "../lib/base/flags.h"
#include "../lib/base/log.h"
#include "../lib/client/election.h"

/* Options that say how many keys a controller works on at once. */
static const struct {
        const char *option, *controller;
} concurrencies[] = {
        { "concurrent-deployment-syncs", "deployment-controller" },
        { "concurrent-replicaset-syncs", "replicaset-controller" },
        { "concurrent-rc-syncs", "replicationcontroller-controller" },
        { "concurrent-statefulset-syncs", "statefulset-controller" },
        { "concurrent-daemonset-syncs", "daemonset-controller" },
        { "concurrent-job-syncs", "job-controller" },
        { "concurrent-cron-job-syncs", "cronjob-controller" },
        { "concurrent-gc-syncs", "garbage-collector-controller" },
        { "concurrent-namespace-syncs", "namespace-controller" },
        { "concurrent-endpoint-syncs", "endpoints-controller" },
        { "concurrent-service-endpoint-syncs", "endpointslice-controller" },
        { "mirroring-concurrent-service-endpoint-syncs", "endpointslice-mirroring-controller" },
        { "concurrent-ephemeralvolume-syncs", "ephemeral-volume-controller" },
        { "concurrent-resource-quota-syncs", "resourcequota-controller" },
        { "concurrent-serviceaccount-token-syncs", "serviceaccount-token-controller" },
};

struct daemon {
        struct loop *loop;
        struct client *client;
        struct controllers *controllers;
        struct election *election;
        struct settings settings;
        const char *wanted; /* --controllers */
        int workers[ARRAY_SIZE(concurrencies)]; /* by number in the table above; 0: the controller's own */
        int64_t hpa_period_ns;
        char *root_ca;
        struct jwt_keys *sa_keys;
        struct pki_pair *signer;
};

static const struct controller *const all_controllers[] = {
#define X(name) &name,
        CONTROLLERS(X)
#undef X
};

/* "*,-gc": the last that names it decides. */
static bool is_wanted(const char *list, const char *name)
{
        size_t len = strlen(name);
        bool wanted = false;

        for (const char *p = list; *p;) {
                size_t n = strcspn(p, ",");

                if (n == 1 && *p == '*')
                        wanted = true;
                else if (n == len && memcmp(p, name, n) == 0)
                        wanted = true;
                else if (n == len + 1 && *p == '-' && memcmp(p + 1, name, len) == 0)
                        wanted = false;
                p += n + (p[n] == ',');
        }
        return wanted;
}

static void on_failure(const char *controller, const char *key, const char *text, void *userdata)
{
        log_warn("%s%s%s: %s", controller, *key ? " " : "", key, text);
}

static unsigned workers_of(const struct daemon *d, const char *controller)
{
        for (size_t i = 0; i < ARRAY_SIZE(concurrencies); i++)
                if (streq(concurrencies[i].controller, controller))
                        return (unsigned)d->workers[i];
        return 0;
}

static void start(void *userdata)
{
        struct daemon *d = userdata;
        struct controllers_options o = { .client = d->client, .resources = controller_resources, .n_resources = R_COUNT,
                                         .settings = &d->settings, .log = on_failure };

        d->controllers = controllers_new(&o);
        for (size_t i = 0; i < ARRAY_SIZE(all_controllers); i++)
                if (is_wanted(d->wanted, all_controllers[i]->name))
                        controllers_add(d->controllers, all_controllers[i]);
        if (is_wanted(d->wanted, "namespace-controller"))
                namespace_controller_start(d->controllers, workers_of(d, "namespace-controller"));
        if (is_wanted(d->wanted, garbage_collector.name))
                garbage_kinds_start(d->controllers);
        if (is_wanted(d->wanted, "horizontal-pod-autoscaler-controller"))
                hpa_controller_start(d->controllers, d->hpa_period_ns);
        if (is_wanted(d->wanted, "validatingadmissionpolicy-status-controller"))
                policy_status_start(d->controllers);
        for (size_t i = 0; i < ARRAY_SIZE(concurrencies); i++)
                if (d->workers[i])
                        controllers_tune(d->controllers, concurrencies[i].controller, (unsigned)d->workers[i], 0);
        controllers_start(d->controllers);
        log_info("leading");
}

static void lost(void *userdata)
{
        struct daemon *d = userdata;

        log_error("the lease is lost: ending, so that two never work at once");
        loop_stop(d->loop, 1);
}

static void release_fiber(void *userdata)
{
        struct daemon *d = userdata;

        if (d->election)
                election_release(d->election);
        loop_stop(d->loop, 0);
}

static void on_signal(int signo, void *userdata)
{
        struct daemon *d = userdata;

        fiber_start(d->loop, release_fiber, d);
}

struct arguments {
        const char *kubeconfig, *root_ca_file, *sa_key_file, *signing_cert_file, *signing_key_file;
        bool elect;
        enum log_level level;
};

/* The fixed ones and one for each row of the table of concurrencies. */
static void parse_arguments(struct daemon *d, int argc, char **argv, struct arguments *a)
{
        struct settings *s = &d->settings;
        const struct flag fixed[] = {
                { "kubeconfig", FLAG_STRING, &a->kubeconfig, .help = "how to reach the API server; needed" },
                { "leader-elect", FLAG_BOOL, &a->elect, .help = "wait for a lease before working" },
                { "controllers", FLAG_STRING, &d->wanted, .help = "names, '*' for all, '-name' for not" },
                { "node-monitor-grace-period", FLAG_DURATION, &s->node_monitor_grace_ns,
                  .help = "a node that is silent for so long is not ready" },
                { "node-monitor-period", FLAG_DURATION, &s->node_monitor_period_ns, .help = "how often that is looked at" },
                { "pvclaimbinder-sync-period", FLAG_DURATION, &s->pv_sync_ns, .help = "how often claims are looked at again" },
                { "horizontal-pod-autoscaler-sync-period", FLAG_DURATION, &d->hpa_period_ns,
                  .help = "how often numbers of replicas are worked out" },
                { "terminated-pod-gc-threshold", FLAG_INT64, &s->terminated_pod_gc_threshold, .max = INT32_MAX,
                  .help = "ended pods that are kept; 0: all" },
                { "root-ca-file", FLAG_STRING, &a->root_ca_file, .help = "published as kube-root-ca.crt" },
                { "service-account-private-key-file", FLAG_STRING, &a->sa_key_file, .help = "signs token Secrets" },
                { "cluster-signing-cert-file", FLAG_STRING, &a->signing_cert_file, .help = "signs certificate requests" },
                { "cluster-signing-key-file", FLAG_STRING, &a->signing_key_file, .help = "its key" },
                { "cluster-signing-duration", FLAG_DURATION, &s->signing_duration_ns, .help = "the longest life of what it signs" },
                { "v", FLAG_VERBOSITY, &a->level, .help = "from 4 on: debugging" },
        };
        struct flag all[ARRAY_SIZE(fixed) + ARRAY_SIZE(concurrencies)];

        memcpy(all, fixed, sizeof(fixed));
        for (size_t i = 0; i < ARRAY_SIZE(concurrencies); i++)
                all[ARRAY_SIZE(fixed) + i] = (struct flag){ concurrencies[i].option, FLAG_INT, &d->workers[i], .min = 1,
                                                            .max = 1000, .help = "objects it works on at once" };
        flags_parse_or_exit("colibri-controllers", all, ARRAY_SIZE(all), argc, argv, NULL);
}

static int prepare(struct daemon *d, const struct arguments *args, struct error *reterr)
{
        int r;

        if (args->root_ca_file) {
                r = file_read(args->root_ca_file, 1 << 20, &d->root_ca, NULL, reterr);
                if (r < 0)
                        return r;
                d->settings.root_ca = d->root_ca;
        }
        if (args->sa_key_file) {
                r = jwt_keys_load((const char *const[]){ NULL }, args->sa_key_file, &d->sa_keys, reterr);
                if (r < 0)
                        return r;
                d->settings.sa_keys = d->sa_keys;
        }
        if (!args->signing_cert_file != !args->signing_key_file)
                return error_set(reterr, -EINVAL, "--cluster-signing-cert-file and --cluster-signing-key-file need each other");
        if (args->signing_cert_file) {
                r = pki_load(args->signing_cert_file, args->signing_key_file, &d->signer, reterr);
                if (r < 0)
                        return r;
                d->settings.signer = d->signer;
        }
        /* By its first word the managed fields say who wrote them: the name that clients know. */
        return client_new(d->loop, args->kubeconfig, "kube-controller-manager/v1.36.2 (linux/amd64) colibri", &d->client, reterr);
}

static void elect(struct daemon *d)
{
        _cleanup_free_ char *identity = NULL;
        char host[256] = "", uuid[UUID_BUF];
        struct election_options o = { .namespace = "kube-system", .name = "colibri-controllers",
                                      .started = start, .stopped = lost, .userdata = d };

        gethostname(host, sizeof(host) - 1);
        identity = xasprintf("%s_%s", host, uuid_new(uuid));
        o.identity = identity;
        d->election = election_new(d->client, &o);
}

int main(int argc, char **argv)
{
        struct daemon d = {
                .wanted = "*",
                .hpa_period_ns = 15 * NS_PER_SEC,
                .settings = { .node_monitor_grace_ns = 50 * NS_PER_SEC, .node_monitor_period_ns = 5 * NS_PER_SEC,
                              .pv_sync_ns = 15 * NS_PER_SEC, .terminated_pod_gc_threshold = 12500,
                              .signing_duration_ns = 365 * 86400 * NS_PER_SEC },
        };
        struct arguments args = { .elect = true, .level = LOG_LEVEL_INFO };
        _cleanup_error_ struct error err = ERROR_INIT;

        parse_arguments(&d, argc, argv, &args);
        log_init("controllers", args.level);
        if (!args.kubeconfig) {
                log_error("--kubeconfig is needed");
                return 2;
        }
        d.loop = loop_new();
        if (prepare(&d, &args, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        loop_signal(d.loop, SIGTERM, on_signal, &d);
        loop_signal(d.loop, SIGINT, on_signal, &d);
        if (args.elect)
                elect(&d);
        else
                start(&d);
        return loop_run(d.loop);
}
