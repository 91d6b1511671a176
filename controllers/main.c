/* colibri-controllers: options, the client, leader election, and the list of controllers to drive. */
#include "controllers.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "../lib/base/encode.h"
#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/client/election.h"

#define CONCURRENCIES_MAX 24

struct daemon {
        struct loop *loop;
        struct client *client;
        struct controllers *controllers;
        struct election *election;
        struct settings settings;
        const char *wanted; /* --controllers */
        unsigned workers[CONCURRENCIES_MAX]; /* by number in the table below; 0: the controller's own */
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

static void usage(FILE *out)
{
        fputs("colibri-controllers --kubeconfig=FILE [option...]\n"
              "  --leader-elect=true|false             default true\n"
              "  --controllers=LIST                    names, '*' for all, '-name' for not (default *)\n"
              "  --node-monitor-grace-period=DURATION  default 50s\n"
              "  --node-monitor-period=DURATION        default 5s\n"
              "  --pvclaimbinder-sync-period=DURATION  default 15s\n"
              "  --horizontal-pod-autoscaler-sync-period=DURATION  default 15s\n"
              "  --terminated-pod-gc-threshold=N       default 12500\n"
              "  --root-ca-file=FILE                   published as kube-root-ca.crt\n"
              "  --service-account-private-key-file=FILE\n"
              "  --cluster-signing-cert-file=FILE --cluster-signing-key-file=FILE\n"
              "  --cluster-signing-duration=DURATION   the longest life of what it signs, default 8760h\n"
              "How many objects a controller works on at once:\n",
              out);
        for (size_t i = 0; i < ARRAY_SIZE(concurrencies); i++)
                fprintf(out, "  --%s=N\n", concurrencies[i].option);
}

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
                        return d->workers[i];
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
        for (size_t i = 0; i < ARRAY_SIZE(concurrencies); i++)
                if (d->workers[i])
                        controllers_tune(d->controllers, concurrencies[i].controller, d->workers[i], 0);
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

static int take_duration(const char *name, const char *value, int64_t *ret)
{
        if (duration_parse(value, ret) == 0 && *ret > 0)
                return 0;
        fprintf(stderr, "colibri-controllers: --%s: \"%s\" is no duration\n", name, value);
        return -EINVAL;
}

static int take_number(const char *name, const char *value, int64_t least, int64_t most, int64_t *ret)
{
        char *end;
        long long n = strtoll(value, &end, 10);

        if (end != value && !*end && n >= least && n <= most) {
                *ret = n;
                return 0;
        }
        fprintf(stderr, "colibri-controllers: --%s: \"%s\" is no number from %lld to %lld\n", name, value, (long long)least,
                (long long)most);
        return -EINVAL;
}

enum { OPT_KUBECONFIG = 1, OPT_ELECT, OPT_CONTROLLERS, OPT_GRACE, OPT_PERIOD, OPT_PV, OPT_GC, OPT_CA, OPT_SA_KEY,
       OPT_SIGN_CERT, OPT_SIGN_KEY, OPT_SIGN_DURATION, OPT_HPA, OPT_HELP, OPT_CONCURRENCY = 100 };

static const struct option fixed_options[] = {
        { "kubeconfig", required_argument, NULL, OPT_KUBECONFIG },
        { "leader-elect", optional_argument, NULL, OPT_ELECT },
        { "controllers", required_argument, NULL, OPT_CONTROLLERS },
        { "node-monitor-grace-period", required_argument, NULL, OPT_GRACE },
        { "node-monitor-period", required_argument, NULL, OPT_PERIOD },
        { "pvclaimbinder-sync-period", required_argument, NULL, OPT_PV },
        { "terminated-pod-gc-threshold", required_argument, NULL, OPT_GC },
        { "root-ca-file", required_argument, NULL, OPT_CA },
        { "service-account-private-key-file", required_argument, NULL, OPT_SA_KEY },
        { "cluster-signing-cert-file", required_argument, NULL, OPT_SIGN_CERT },
        { "cluster-signing-key-file", required_argument, NULL, OPT_SIGN_KEY },
        { "cluster-signing-duration", required_argument, NULL, OPT_SIGN_DURATION },
        { "horizontal-pod-autoscaler-sync-period", required_argument, NULL, OPT_HPA },
        { "help", no_argument, NULL, OPT_HELP },
};

/* The fixed ones and one for each row of the table. */
static const struct option *all_options(void)
{
        static struct option all[ARRAY_SIZE(fixed_options) + ARRAY_SIZE(concurrencies) + 1];

        memcpy(all, fixed_options, sizeof(fixed_options));
        for (size_t i = 0; i < ARRAY_SIZE(concurrencies); i++)
                all[ARRAY_SIZE(fixed_options) + i] =
                        (struct option){ concurrencies[i].option, required_argument, NULL, OPT_CONCURRENCY + (int)i };
        return all;
}

struct arguments {
        const char *kubeconfig, *root_ca_file, *sa_key_file, *signing_cert_file, *signing_key_file;
        bool elect;
};

static int parse_arguments(struct daemon *d, int argc, char **argv, struct arguments *ret)
{
        struct settings *s = &d->settings;
        const struct option *options = all_options();
        int64_t number = 0;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                int r = 0;

                switch (c) {
                case OPT_KUBECONFIG:
                        ret->kubeconfig = optarg;
                        break;
                case OPT_ELECT:
                        ret->elect = !optarg || streq(optarg, "true");
                        break;
                case OPT_CONTROLLERS:
                        d->wanted = optarg;
                        break;
                case OPT_GRACE:
                        r = take_duration("node-monitor-grace-period", optarg, &s->node_monitor_grace_ns);
                        break;
                case OPT_PERIOD:
                        r = take_duration("node-monitor-period", optarg, &s->node_monitor_period_ns);
                        break;
                case OPT_PV:
                        r = take_duration("pvclaimbinder-sync-period", optarg, &s->pv_sync_ns);
                        break;
                case OPT_GC:
                        r = take_number("terminated-pod-gc-threshold", optarg, 0, INT32_MAX, &s->terminated_pod_gc_threshold);
                        break;
                case OPT_CA:
                        ret->root_ca_file = optarg;
                        break;
                case OPT_SA_KEY:
                        ret->sa_key_file = optarg;
                        break;
                case OPT_SIGN_CERT:
                        ret->signing_cert_file = optarg;
                        break;
                case OPT_SIGN_KEY:
                        ret->signing_key_file = optarg;
                        break;
                case OPT_HPA:
                        r = take_duration("horizontal-pod-autoscaler-sync-period", optarg, &d->hpa_period_ns);
                        break;
                case OPT_SIGN_DURATION:
                        r = take_duration("cluster-signing-duration", optarg, &number);
                        s->signing_duration_s = MAX(number / NS_PER_SEC, INT64_C(1));
                        break;
                case OPT_HELP:
                        usage(stdout);
                        exit(0);
                default:
                        if (c < OPT_CONCURRENCY)
                                return -EINVAL;
                        r = take_number(concurrencies[c - OPT_CONCURRENCY].option, optarg, 1, 1000, &number);
                        d->workers[c - OPT_CONCURRENCY] = (unsigned)number;
                }
                if (r < 0)
                        return r;
        }
        return ret->kubeconfig && optind == argc ? 0 : -EINVAL;
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
        return client_new(d->loop, args->kubeconfig, "colibri-controllers", &d->client, reterr);
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
                              .signing_duration_s = 365 * 86400 },
        };
        struct arguments args = { .elect = true };
        _cleanup_error_ struct error err = ERROR_INIT;

        _Static_assert(ARRAY_SIZE(concurrencies) <= CONCURRENCIES_MAX, "room for each");
        log_init("controllers", LOG_LEVEL_INFO);
        if (parse_arguments(&d, argc, argv, &args) < 0) {
                usage(stderr);
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
