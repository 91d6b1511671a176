/* colibri-apiserver: options, start-up, the first objects of a new cluster. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "aggregation/aggregation.h"
#include "apiserver.h"
#include "audit/audit.h"
#include "auth/auth.h"
#include "flow/flow.h"
#include "registry/definitions.h"
#include "registry/registry.h"

#include "../lib/base/file.h"
#include "../lib/base/flags.h"
#include "../lib/base/log.h"
#include "../lib/base/time.h"
#include "../lib/base/trim.h"

struct options {
        const char *etcd_cafile, *etcd_certfile, *etcd_keyfile, *etcd_data_dir;
        const char *sa_signing_key_file, *sa_issuer, *requestheader_ca;
        const char *components, *aggregator_routing;
        const char *const *etcd_servers, *const *sa_key_files, *const *requestheader_names;
        enum log_level level;
        const char *audit_truncate, *audit_max_wait;
        int max_inflight, max_mutating_inflight, audit_megabytes, audit_max_event;
};

/* malloc keeps what is freed between things that stay, and all that a start or many writes needed for a moment: it
 * goes back to the kernel in a pause soon after. */
#define TRIM_NS (5 * NS_PER_SEC)
#define TRIM_SLACK_NS (3 * NS_PER_SEC)
#define FIRST_TRIM_NS (500 * NS_PER_MS)

struct daemon {
        struct apiserver server;
        struct loop_timer *trim;
        struct options options;
        struct flow_options flow;
        struct audit_options audit;
};

static int parse(int argc, char **argv, struct daemon *d)
{
        struct options *f = &d->options;
        struct apiserver_options *o = &d->server.o;
        const char *ignored; /* what only has one value */
        const struct flag flags[] = {
                { "bind-address", FLAG_STRING, &o->bind_address, .help = "where it listens" },
                { "secure-port", FLAG_PORT, &o->secure_port, .help = "where it listens" },
                { "advertise-address", FLAG_STRING, &o->advertise_address, .help = "where others reach it" },
                { "tls-cert-file", FLAG_STRING, &o->tls_cert_file, .help = "needed" },
                { "tls-private-key-file", FLAG_STRING, &o->tls_private_key_file, .help = "needed" },
                { "client-ca-file", FLAG_STRING, &o->client_ca_file, .help = "whose certificates name users; needed" },
                { "service-cluster-ip-range", FLAG_STRING, &o->service_cluster_ip_range, .help = "addresses of Services" },
                { "service-node-port-range", FLAG_STRING, &o->service_node_port_range, .help = "ports of Services" },
                { "kubelet-client-certificate", FLAG_STRING, &o->kubelet_client_certificate, .help = "shown to kubelets" },
                { "kubelet-client-key", FLAG_STRING, &o->kubelet_client_key, .help = "its key" },
                { "kubelet-certificate-authority", FLAG_STRING, &o->kubelet_certificate_authority, .help = "who signs kubelets'" },
                { "kubelet-preferred-address-types", FLAG_STRING, &o->kubelet_preferred_address_types,
                  .help = "which address of a Node to use" },
                { "etcd-servers", FLAG_LIST, &f->etcd_servers, .help = "URLs; needed" },
                { "etcd-cafile", FLAG_STRING, &f->etcd_cafile, .help = "who signs etcd's certificates" },
                { "etcd-certfile", FLAG_STRING, &f->etcd_certfile, .help = "shown to etcd" },
                { "etcd-keyfile", FLAG_STRING, &f->etcd_keyfile, .help = "its key" },
                { "etcd-data-dir", FLAG_STRING, &f->etcd_data_dir, .help = "where etcd writes, if on this machine: errors tell of a full disk" },
                { "service-account-key-file", FLAG_LIST, &f->sa_key_files, .help = "check tokens" },
                { "service-account-signing-key-file", FLAG_STRING, &f->sa_signing_key_file, .help = "signs tokens; needed" },
                { "service-account-issuer", FLAG_STRING, &f->sa_issuer, .help = "named in tokens" },
                { "requestheader-client-ca-file", FLAG_STRING, &f->requestheader_ca, .help = "proxies that may name users" },
                { "requestheader-allowed-names", FLAG_LIST, &f->requestheader_names, .help = "their common names" },
                { "requestheader-extra-headers-prefix", FLAG_STRING, &ignored, .only = "X-Remote-Extra-" },
                { "requestheader-group-headers", FLAG_STRING, &ignored, .only = "X-Remote-Group" },
                { "requestheader-username-headers", FLAG_STRING, &ignored, .only = "X-Remote-User" },
                { "proxy-client-cert-file", FLAG_STRING, &o->proxy_client_cert_file, .help = "shown to aggregated API servers" },
                { "proxy-client-key-file", FLAG_STRING, &o->proxy_client_key_file, .help = "its key" },
                { "enable-aggregator-routing", FLAG_STRING, &f->aggregator_routing,
                  .help = "true: aggregated API servers are asked at their endpoints, not at a cluster IP; where no proxy is among the cluster's components it is" },
                { "authorization-mode", FLAG_STRING, &ignored, .only = "Node,RBAC" },
                { "allow-privileged", FLAG_STRING, &ignored, .only = "true" },
                { "enable-admission-plugins", FLAG_STRING, &ignored, .only = "NodeRestriction" },
                { "enable-bootstrap-token-auth", FLAG_STRING, &ignored, .only = "true" },
                { "max-requests-inflight", FLAG_INT, &f->max_inflight, .max = 1000000,
                  .help = "how many requests may be under way; with the next, what all priority levels share" },
                { "max-mutating-requests-inflight", FLAG_INT, &f->max_mutating_inflight, .max = 1000000, .help = "and of those that change something" },
                { "audit-policy-file", FLAG_STRING, &d->audit.policy_file, .help = "a Policy of audit.k8s.io/v1: what is recorded" },
                { "audit-log-path", FLAG_STRING, &d->audit.log.path, .help = "where to; - is standard output" },
                { "audit-log-maxage", FLAG_INT, &d->audit.log.max_age_days, .max = 1000000, .help = "days that rotated files are kept" },
                { "audit-log-maxbackup", FLAG_INT, &d->audit.log.max_backups, .max = 1000000, .help = "how many rotated files are kept" },
                { "audit-log-maxsize", FLAG_INT, &f->audit_megabytes, .max = 1000000, .help = "megabytes of a file before it is rotated" },
                { "audit-webhook-config-file", FLAG_STRING, &d->audit.webhook_file, .help = "kubeconfig of a server that is sent what is recorded" },
                { "audit-webhook-batch-max-wait", FLAG_STRING, &f->audit_max_wait, .help = "how long an event may wait for others, such as 30s" },
                { "audit-log-truncate-enabled", FLAG_STRING, &f->audit_truncate, .help = "true: long events leave out the objects" },
                { "audit-log-truncate-max-event-size", FLAG_INT, &f->audit_max_event, .max = 1000000000, .help = "bytes; what is longer is long" },
                { "cluster-components", FLAG_STRING, &f->components, .help = "daemons that run as users of their own" },
                { "v", FLAG_VERBOSITY, &f->level, .help = "from 4 on: debugging" },
        };

        flags_parse_or_exit("colibri-apiserver", flags, ARRAY_SIZE(flags), argc, argv, NULL);
        d->audit.log.max_size = (int64_t)f->audit_megabytes << 20;
        d->audit.webhook_max_wait = 30 * NS_PER_SEC;
        if (f->audit_max_wait && (duration_parse(f->audit_max_wait, &d->audit.webhook_max_wait) < 0 || d->audit.webhook_max_wait < 0)) {
                fprintf(stderr, "colibri-apiserver: --audit-webhook-batch-max-wait: invalid duration \"%s\"\n", f->audit_max_wait);
                return -EINVAL;
        }
        d->audit.max_event = streq(f->audit_truncate, "true") ? f->audit_max_event : 0;
        d->flow = (struct flow_options){ (unsigned)f->max_inflight, (unsigned)f->max_mutating_inflight };
        /* A cluster IP leads nowhere on a machine without a proxy. */
        o->aggregator_routing = f->aggregator_routing ? streq(f->aggregator_routing, "true")
                                                      : !str_empty(f->components) && !strstr(f->components, "proxy");
        if (f->etcd_servers && o->tls_cert_file && o->client_ca_file && f->sa_signing_key_file)
                return 0;
        fprintf(stderr, "colibri-apiserver: --etcd-servers, --tls-cert-file, --tls-private-key-file, "
                        "--client-ca-file and --service-account-signing-key-file are needed\n");
        return -EINVAL;
}

/* --- the first objects --- */

/* The first address of the service range: the API server's own Service. */
static void first_address(const char *cidr, char *buf, size_t size)
{
        _cleanup_free_ char *base = xstrndup(cidr, strcspn(cidr, "/"));
        struct in_addr addr;

        if (inet_pton(AF_INET, base, &addr) == 1) {
                addr.s_addr = htonl(ntohl(addr.s_addr) + 1);
                inet_ntop(AF_INET, &addr, buf, (socklen_t)size);
        }
}

/* Takes over the named fields of WANTED: where this server is reached may have changed since it last ran. */
struct refresh {
        const struct json *wanted;
        const char *const *fields;
};

static const struct status *refresh(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        const struct refresh *f = userdata;
        struct json *obj = json_clone(r->arena, old);

        for (const char *const *field = f->fields; *field; field++)
                json_set(r->arena, obj, *field, json_clone(r->arena, json_get(f->wanted, *field)));
        *ret_new = obj;
        return NULL;
}

/* Makes OBJ where it is missing; where it is there, only FIELDS (NULL-terminated) are brought up to date. */
static const struct status *ensure(struct api_request *r, const char *group, const char *version, const char *resource,
                                   struct json *obj, const char *const *fields)
{
        const struct resource *res = builtin_resource(group, version, resource);
        const char *namespace = res->namespaced ? "default" : NULL;
        struct refresh f = { obj, fields };
        struct json *is = NULL;
        const struct status *st = registry_get(r, res, namespace, "kubernetes", &is);

        if (st && st->code == 404) {
                st = registry_create(r, res, namespace, obj, &is);
                return st && st->code == 409 ? NULL : st; /* another API server was faster */
        }
        return st || !*fields ? st : registry_update(r, res, namespace, "kubernetes", NULL, refresh, &f, &is, NULL);
}

static struct json *parse_text(struct arena *a, const char *text)
{
        struct json *j = NULL;

        return json_parse(a, text, strlen(text), NULL, &j, NULL) == 0 ? j : json_new_null(a);
}

static const struct status *ensure_kubernetes_service(struct apiserver *s, struct api_request *r)
{
        struct arena *a = r->arena;
        char ip[64] = "10.96.0.1";
        const struct status *st;

        first_address(s->o.service_cluster_ip_range, ip, sizeof(ip));
        st = ensure(r, "", "v1", "services", parse_text(a, arena_printf(a,
                "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\","
                "\"labels\":{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":{\"type\":\"ClusterIP\","
                "\"clusterIP\":\"%s\",\"clusterIPs\":[\"%s\"],\"ipFamilies\":[\"IPv4\"],\"ipFamilyPolicy\":\"SingleStack\","
                "\"sessionAffinity\":\"None\",\"internalTrafficPolicy\":\"Cluster\","
                "\"ports\":[{\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\",\"targetPort\":%u}]}}",
                ip, ip, s->o.secure_port)), (const char *const[]){ NULL });
        if (!st)
                st = ensure(r, "", "v1", "endpoints", parse_text(a, arena_printf(a,
                        "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\","
                        "\"labels\":{\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},\"subsets\":[{\"addresses\":[{\"ip\":\"%s\"}],"
                        "\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}]}",
                        s->o.advertise_address, s->o.secure_port)), (const char *const[]){ "subsets", NULL });
        if (!st)
                st = ensure(r, "discovery.k8s.io", "v1", "endpointslices", parse_text(a, arena_printf(a,
                        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"kubernetes\","
                        "\"namespace\":\"default\",\"labels\":{\"kubernetes.io/service-name\":\"kubernetes\"}},\"addressType\":\"IPv4\","
                        "\"endpoints\":[{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}],"
                        "\"ports\":[{\"name\":\"https\",\"port\":%u,\"protocol\":\"TCP\"}]}",
                        s->o.advertise_address, s->o.secure_port)), (const char *const[]){ "endpoints", "ports", NULL });
        return st;
}

/* Says that it is ready, unless somebody has said something. */
static const struct status *set_ready(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        struct json *obj = json_clone(r->arena, old), *status = json_ensure_object(r->arena, obj, "status");
        char now[TIME_BUF];

        unused(userdata);
        if (!json_len(json_get(status, "conditions")))
                json_set(r->arena, status, "conditions", parse_text(r->arena, arena_printf(r->arena,
                        "[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"%s\",\"reason\":\"\","
                        "\"message\":\"Kubernetes default Service CIDR is ready\"}]", time_format(time_real(), now))));
        *ret_new = obj;
        return NULL;
}

/* The range of Services as an object. A range that was changed since is left as it is: who changed it must know. */
static const struct status *ensure_service_range(struct apiserver *s, struct api_request *r)
{
        const struct resource *res = builtin_resource("networking.k8s.io", "v1", "servicecidrs");
        struct json *is, *obj = parse_text(r->arena, "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"ServiceCIDR\","
                                                     "\"metadata\":{\"name\":\"kubernetes\"},\"spec\":{\"cidrs\":[]}}");
        const struct status *st;

        for (const char *p = s->o.service_cluster_ip_range; *p; p += strcspn(p, ",") + (p[strcspn(p, ",")] == ','))
                json_append(r->arena, json_path(obj, "spec.cidrs"),
                            json_new_string(r->arena, arena_strndup(r->arena, p, strcspn(p, ","))));
        st = ensure(r, res->group, res->version, res->name, obj, (const char *const[]){ NULL });
        return st ?: registry_update(r, res, NULL, "kubernetes", "status", set_ready, NULL, &is, NULL);
}

static void on_trim(struct loop_timer *timer, void *userdata)
{
        static bool started;

        trim_heap();
        if (!started)
                trim_files();
        started = true;
}

static void handle(struct http_request *http, void *userdata)
{
        struct daemon *d = userdata;

        if (!loop_timer_armed(d->trim))
                loop_timer_arm_slack(d->trim, TRIM_NS, TRIM_SLACK_NS);
        apiserver_handle(http, &d->server);
}

/* Waits for etcd and writes what a new cluster starts with; tried again until it is there. */
static void bootstrap(void *userdata)
{
        struct daemon *d = userdata;
        struct apiserver *s = &d->server;

        while (!s->bootstrapped) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_error_ struct error err = ERROR_INIT;
                const struct status *st;
                struct api_request r;

                if (!store_ready(s->store)) {
                        fiber_sleep(5 * NS_PER_MS);
                        continue;
                }
                request_init_internal(&r, s, a);
                if (auth_bootstrap(&r, &err) < 0) {
                        log_error("bootstrap: %s", error_text(&err));
                } else if ((st = ensure_service_range(s, &r)) || (st = ensure_kubernetes_service(s, &r))) {
                        log_error("bootstrap: %s", st->message);
                } else {
                        s->bootstrapped = true;
                        log_info("ready");
                        loop_timer_arm(d->trim, FIRST_TRIM_NS);
                        return;
                }
                fiber_sleep(NS_PER_SEC);
        }
}

static void on_term(int signo, void *userdata)
{
        loop_stop(userdata, 0);
}

/* A connection more than there are files for would wait, and nobody would know why: it is refused instead. The
 * rest is for etcd, for kubelets and webhooks that are spoken to, and for files. */
static size_t connections_that_fit(void)
{
        size_t files = files_raise_limit();

        return MIN(files - MIN(files / 4, 512), 16384);
}

static int start(struct daemon *d, struct error *reterr)
{
        struct apiserver *s = &d->server;
        const struct options *f = &d->options;
        struct store_options store = {
                .endpoints = f->etcd_servers, .ca_file = f->etcd_cafile,
                .cert_file = f->etcd_certfile, .key_file = f->etcd_keyfile, .prefix = "/registry",
                .data_dir = f->etcd_data_dir,
        };
        struct http_server_options http = {
                .address = s->o.bind_address, .port = s->o.secure_port, .cert_file = s->o.tls_cert_file,
                .key_file = s->o.tls_private_key_file, .client_ca_file = s->o.client_ca_file,
                .handler = handle, .userdata = d, .refuse = apiserver_refuse,
                .max_connections = connections_that_fit(),
        };
        int r = store_new(s->loop, &store, &s->store, reterr);

        if (r < 0)
                return r;
        struct auth_options auth = {
                .loop = s->loop, .store = s->store, .key_files = f->sa_key_files,
                .signing_key_file = f->sa_signing_key_file, .issuer = f->sa_issuer,
                .requestheader_ca_file = f->requestheader_ca,
                .client_ca_file = s->o.client_ca_file,
                .components = f->components,
                .requestheader_allowed_names = f->requestheader_names,
        };

        r = auth_init(&auth, reterr);
        if (r == 0)
                r = audit_start(s, &d->audit, reterr);
        if (r == 0)
                r = http_server_new(s->loop, &http, &s->http, reterr);
        return r;
}

int main(int argc, char **argv)
{
        static struct daemon d = {
                .server.o = {.bind_address = "0.0.0.0", .secure_port = 6443, .advertise_address = "127.0.0.1",
                             .service_cluster_ip_range = "10.96.0.0/12", .service_node_port_range = "30000-32767"},
                .options = {.level = LOG_LEVEL_INFO, .max_inflight = 400, .max_mutating_inflight = 200, .audit_max_event = 102400},
        };
        _cleanup_error_ struct error err = ERROR_INIT;
        int r;

        if (parse(argc, argv, &d) < 0)
                return 2;
        log_init("apiserver", d.options.level);
        signal(SIGPIPE, SIG_IGN);
        d.server.loop = loop_new();
        d.server.started = time_real();
        d.server.flags = argv + (argc > 0);
        d.trim = loop_timer_new(d.server.loop, on_trim, &d);
        loop_signal(d.server.loop, SIGTERM, on_term, d.server.loop);
        loop_signal(d.server.loop, SIGINT, on_term, d.server.loop);
        if (start(&d, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        definitions_start(&d.server);
        aggregation_start(&d.server);
        flow_start(&d.server, &d.flow);
        fiber_start(d.server.loop, bootstrap, &d);
        r = loop_run(d.server.loop);
        audit_stop();
        return r;
}
