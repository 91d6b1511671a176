/* colibri-apiserver: options, start-up, the first objects of a new cluster. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "apiserver.h"
#include "auth/auth.h"
#include "registry/definitions.h"
#include "registry/registry.h"

#include "../lib/base/log.h"
#include "../lib/base/time.h"

struct flags {
        const char *etcd_servers, *etcd_cafile, *etcd_certfile, *etcd_keyfile, *port;
        const char *sa_key_file, *sa_signing_key_file, *sa_issuer;
        const char *requestheader_ca, *requestheader_names;
        const char *authorization_mode, *allow_privileged, *admission, *bootstrap_tokens;
        const char *proxy_cert, *proxy_key, *rh_extra, *rh_group, *rh_user, *components;
};

struct daemon {
        struct apiserver server;
        struct flags flags;
        const char *words[4][32]; /* lists split at their commas */
};

static int parse(int argc, char **argv, struct daemon *d)
{
        struct flags *f = &d->flags;
        struct apiserver_options *o = &d->server.o;
        const struct {
                const char *name;
                const char **value;
                const char *only; /* the one value that is understood; NULL: any */
        } flags[] = {
                {"bind-address", &o->bind_address, NULL},
                {"secure-port", &f->port, NULL},
                {"advertise-address", &o->advertise_address, NULL},
                {"tls-cert-file", &o->tls_cert_file, NULL},
                {"tls-private-key-file", &o->tls_private_key_file, NULL},
                {"client-ca-file", &o->client_ca_file, NULL},
                {"service-cluster-ip-range", &o->service_cluster_ip_range, NULL},
                {"service-node-port-range", &o->service_node_port_range, NULL},
                {"kubelet-client-certificate", &o->kubelet_client_certificate, NULL},
                {"kubelet-client-key", &o->kubelet_client_key, NULL},
                {"kubelet-certificate-authority", &o->kubelet_certificate_authority, NULL},
                {"kubelet-preferred-address-types", &o->kubelet_preferred_address_types, NULL},
                {"etcd-servers", &f->etcd_servers, NULL},
                {"etcd-cafile", &f->etcd_cafile, NULL},
                {"etcd-certfile", &f->etcd_certfile, NULL},
                {"etcd-keyfile", &f->etcd_keyfile, NULL},
                {"service-account-key-file", &f->sa_key_file, NULL},
                {"service-account-signing-key-file", &f->sa_signing_key_file, NULL},
                {"service-account-issuer", &f->sa_issuer, NULL},
                {"requestheader-client-ca-file", &f->requestheader_ca, NULL},
                {"requestheader-allowed-names", &f->requestheader_names, NULL},
                {"requestheader-extra-headers-prefix", &f->rh_extra, "X-Remote-Extra-"},
                {"requestheader-group-headers", &f->rh_group, "X-Remote-Group"},
                {"requestheader-username-headers", &f->rh_user, "X-Remote-User"},
                {"proxy-client-cert-file", &f->proxy_cert, NULL},
                {"proxy-client-key-file", &f->proxy_key, NULL},
                {"authorization-mode", &f->authorization_mode, "Node,RBAC"},
                {"allow-privileged", &f->allow_privileged, "true"},
                {"enable-admission-plugins", &f->admission, "NodeRestriction"},
                {"cluster-components", &f->components, NULL},
                {"enable-bootstrap-token-auth", &f->bootstrap_tokens, "true"},
        };

        for (int i = 1; i < argc; i++) {
                const char *eq = strchr(argv[i], '=');
                bool known = false;

                for (size_t k = 0; eq && str_has_prefix(argv[i], "--") && k < ARRAY_SIZE(flags); k++) {
                        if (strncmp(argv[i] + 2, flags[k].name, (size_t)(eq - argv[i]) - 2) != 0 ||
                            flags[k].name[eq - argv[i] - 2])
                                continue;
                        if (flags[k].only && !streq(eq + 1, flags[k].only)) {
                                fprintf(stderr, "colibri-apiserver: --%s: only %s is supported\n", flags[k].name, flags[k].only);
                                return -EINVAL;
                        }
                        *flags[k].value = eq + 1;
                        known = true;
                }
                if (!known) {
                        fprintf(stderr, "colibri-apiserver: unknown flag: %s\n", argv[i]);
                        return -EINVAL;
                }
        }
        o->secure_port = (uint16_t)strtoul(f->port ? f->port : "6443", NULL, 10);
        if (!f->etcd_servers || !o->tls_cert_file || !o->client_ca_file || !f->sa_signing_key_file) {
                fprintf(stderr, "colibri-apiserver: --etcd-servers, --tls-cert-file, --tls-private-key-file, "
                                "--client-ca-file and --service-account-signing-key-file are needed\n");
                return -EINVAL;
        }
        return 0;
}

static const char *const *split(struct daemon *d, size_t list, const char *text)
{
        const char **words = d->words[list];
        size_t n = 0;

        while (text && *text && n + 1 < ARRAY_SIZE(d->words[0])) {
                size_t len = strcspn(text, ",");

                words[n++] = xstrndup(text, len);
                text += len + (text[len] == ',');
        }
        return n ? words : NULL;
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
        struct refresh f = { obj, fields };
        struct json *is = NULL;
        const struct status *st = registry_get(r, res, "default", "kubernetes", &is);
        bool created;

        if (st && st->code == 404) {
                st = registry_create(r, res, "default", obj, &is);
                return st && st->code == 409 ? NULL : st; /* another API server was faster */
        }
        return st || !*fields ? st : registry_update(r, res, "default", "kubernetes", NULL, refresh, &f, &is, &created);
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

/* Waits for etcd and writes what a new cluster starts with; tried again until it is there. */
static void bootstrap(void *userdata)
{
        struct apiserver *s = userdata;

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
                } else if ((st = ensure_kubernetes_service(s, &r))) {
                        log_error("bootstrap: %s", st->message);
                } else {
                        s->bootstrapped = true;
                        log_info("ready");
                        return;
                }
                fiber_sleep(NS_PER_SEC);
        }
}

static void on_term(int signo, void *userdata)
{
        loop_stop(userdata, 0);
}

static int start(struct daemon *d, struct error *reterr)
{
        struct apiserver *s = &d->server;
        const struct flags *f = &d->flags;
        struct store_options store = {
                .endpoints = split(d, 0, f->etcd_servers), .ca_file = f->etcd_cafile,
                .cert_file = f->etcd_certfile, .key_file = f->etcd_keyfile, .prefix = "/registry",
        };
        struct http_server_options http = {
                .address = s->o.bind_address, .port = s->o.secure_port, .cert_file = s->o.tls_cert_file,
                .key_file = s->o.tls_private_key_file, .client_ca_file = s->o.client_ca_file,
                .handler = apiserver_handle, .userdata = s, .refuse = apiserver_refuse,
        };
        int r = store_new(s->loop, &store, &s->store, reterr);

        if (r < 0)
                return r;
        struct auth_options auth = {
                .loop = s->loop, .store = s->store, .key_files = split(d, 1, f->sa_key_file),
                .signing_key_file = f->sa_signing_key_file, .issuer = f->sa_issuer,
                .requestheader_ca_file = f->requestheader_ca,
                .client_ca_file = s->o.client_ca_file,
                .components = f->components,
                .requestheader_allowed_names = split(d, 2, f->requestheader_names),
        };

        r = auth_init(&auth, reterr);
        if (r == 0)
                r = http_server_new(s->loop, &http, &s->http, reterr);
        return r;
}

int main(int argc, char **argv)
{
        static struct daemon d = {
                .server.o = {.bind_address = "0.0.0.0", .advertise_address = "127.0.0.1",
                             .service_cluster_ip_range = "10.96.0.0/12", .service_node_port_range = "30000-32767"},
        };
        _cleanup_error_ struct error err = ERROR_INIT;

        log_init("apiserver", LOG_LEVEL_INFO);
        if (parse(argc, argv, &d) < 0)
                return 2;
        signal(SIGPIPE, SIG_IGN);
        d.server.loop = loop_new();
        d.server.started = time_real();
        loop_signal(d.server.loop, SIGTERM, on_term, d.server.loop);
        loop_signal(d.server.loop, SIGINT, on_term, d.server.loop);
        if (start(&d, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        definitions_start(&d.server);
        fiber_start(d.server.loop, bootstrap, &d.server);
        return loop_run(d.server.loop);
}
