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

struct daemon {
        struct loop *loop;
        struct client *client;
        struct controllers *controllers;
        struct election *election;
        struct settings settings;
        const char *wanted; /* --controllers */
        char *root_ca;
};

static const struct controller *const all_controllers[] = {
#define X(name) &name,
        CONTROLLERS(X)
#undef X
};

static void usage(FILE *out)
{
        fputs("colibri-controllers --kubeconfig=FILE [option...]\n"
              "  --leader-elect=true|false             default true\n"
              "  --controllers=LIST                    names, '*' for all, '-name' for not (default *)\n"
              "  --node-monitor-grace-period=DURATION  default 50s\n"
              "  --node-monitor-period=DURATION        default 5s\n"
              "  --pvclaimbinder-sync-period=DURATION  default 15s\n"
              "  --terminated-pod-gc-threshold=N       default 12500\n"
              "  --root-ca-file=FILE                   published as kube-root-ca.crt\n"
              "  --service-account-private-key-file=FILE\n"
              "  --cluster-signing-cert-file=FILE --cluster-signing-key-file=FILE\n"
              "  --concurrent-...-syncs=N              accepted, the default serves\n",
              out);
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
                namespace_controller_start(d->controllers);
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

enum { OPT_KUBECONFIG = 1, OPT_ELECT, OPT_CONTROLLERS, OPT_GRACE, OPT_PERIOD, OPT_PV, OPT_GC, OPT_CA, OPT_SA_KEY,
       OPT_SIGN_CERT, OPT_SIGN_KEY, OPT_IGNORED, OPT_HELP };

static const struct option options[] = {
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
        { "concurrent-deployment-syncs", required_argument, NULL, OPT_IGNORED },
        { "concurrent-replicaset-syncs", required_argument, NULL, OPT_IGNORED },
        { "concurrent-job-syncs", required_argument, NULL, OPT_IGNORED },
        { "concurrent-gc-syncs", required_argument, NULL, OPT_IGNORED },
        { "concurrent-namespace-syncs", required_argument, NULL, OPT_IGNORED },
        { "concurrent-endpoint-syncs", required_argument, NULL, OPT_IGNORED },
        { "help", no_argument, NULL, OPT_HELP },
        { 0 },
};

struct arguments {
        const char *kubeconfig, *root_ca_file;
        bool elect;
};

static int parse_arguments(struct daemon *d, int argc, char **argv, struct arguments *ret)
{
        struct settings *s = &d->settings;
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
                        s->terminated_pod_gc_threshold = strtoll(optarg, NULL, 10);
                        break;
                case OPT_CA:
                        ret->root_ca_file = optarg;
                        break;
                case OPT_SA_KEY:
                        s->sa_key_file = optarg;
                        break;
                case OPT_SIGN_CERT:
                        s->signing_cert_file = optarg;
                        break;
                case OPT_SIGN_KEY:
                        s->signing_key_file = optarg;
                        break;
                case OPT_IGNORED:
                        break;
                case OPT_HELP:
                        usage(stdout);
                        exit(0);
                default:
                        return -EINVAL;
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
                .settings = { .node_monitor_grace_ns = 50 * NS_PER_SEC, .node_monitor_period_ns = 5 * NS_PER_SEC,
                              .pv_sync_ns = 15 * NS_PER_SEC, .terminated_pod_gc_threshold = 12500,
                              .signing_duration_s = 365 * 86400 },
        };
        struct arguments args = { .elect = true };
        _cleanup_error_ struct error err = ERROR_INIT;

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
