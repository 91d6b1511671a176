/* colibri-apiserver: upstream's options, the store, authentication, the first objects, and the server. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "../lib/base/log.h"
#include "../lib/base/time.h"
#include "apiserver.h"
#include "auth/auth.h"

#define LIST_MAX 16

struct settings {
        struct apiserver_options server;
        const char *etcd_servers, *etcd_cafile, *etcd_certfile, *etcd_keyfile, *etcd_prefix, *port;
        const char *sa_key_files[LIST_MAX + 1];
        const char *sa_signing_key_file, *sa_issuer, *sa_jwks_uri, *api_audiences;
        const char *requestheader_ca, *requestheader_names, *anonymous, *authorization_mode, *verbosity;
        const char *taken; /* options that are known and change nothing here */
};

/* Upstream's names. An option may be given as --name=value or --name value. */
static const struct option {
        const char *name;
        size_t offset;
} options[] = {
#define OPTION(name, field) {name, offsetof(struct settings, field)}
        OPTION("etcd-servers", etcd_servers),
        OPTION("etcd-cafile", etcd_cafile),
        OPTION("etcd-certfile", etcd_certfile),
        OPTION("etcd-keyfile", etcd_keyfile),
        OPTION("etcd-prefix", etcd_prefix),
        OPTION("bind-address", server.bind_address),
        OPTION("secure-port", port),
        OPTION("advertise-address", server.advertise_address),
        OPTION("tls-cert-file", server.tls_cert_file),
        OPTION("tls-private-key-file", server.tls_private_key_file),
        OPTION("client-ca-file", server.client_ca_file),
        OPTION("service-cluster-ip-range", server.service_cluster_ip_range),
        OPTION("service-node-port-range", server.service_node_port_range),
        OPTION("kubelet-client-certificate", server.kubelet_client_certificate),
        OPTION("kubelet-client-key", server.kubelet_client_key),
        OPTION("kubelet-certificate-authority", server.kubelet_certificate_authority),
        OPTION("kubelet-preferred-address-types", server.kubelet_preferred_address_types),
        OPTION("service-account-signing-key-file", sa_signing_key_file),
        OPTION("service-account-issuer", sa_issuer),
        OPTION("service-account-jwks-uri", sa_jwks_uri),
        OPTION("api-audiences", api_audiences),
        OPTION("requestheader-client-ca-file", requestheader_ca),
        OPTION("requestheader-allowed-names", requestheader_names),
        OPTION("anonymous-auth", anonymous),
        OPTION("authorization-mode", authorization_mode),
        OPTION("v", verbosity),
        /* These say what is so here anyway. */
        OPTION("requestheader-extra-headers-prefix", taken),
        OPTION("requestheader-group-headers", taken),
        OPTION("requestheader-username-headers", taken),
        OPTION("proxy-client-cert-file", taken),
        OPTION("proxy-client-key-file", taken),
        OPTION("allow-privileged", taken),
        OPTION("enable-admission-plugins", taken),
        OPTION("enable-bootstrap-token-auth", taken),
};

static void split(const char *text, const char **out, size_t max)
{
        size_t n = 0;

        for (char *copy = xstrdup(text), *part; n < max && (part = strsep(&copy, ","));)
                if (*part)
                        out[n++] = part;
        out[n] = NULL;
}

static int take_option(struct settings *s, const char *name, size_t len, const char *value)
{
        if (len == strlen("service-account-key-file") && strncmp(name, "service-account-key-file", len) == 0) {
                size_t n = 0;
                while (n < LIST_MAX && s->sa_key_files[n])
                        n++;
                if (n == LIST_MAX)
                        return -EINVAL;
                s->sa_key_files[n] = value;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0) {
                        *(const char **)((char *)s + options[i].offset) = value;
                        return 0;
                }
        return -ENOENT;
}

static bool parse_options(int argc, char **argv, struct settings *s)
{
        for (int i = 1; i < argc; i++) {
                const char *name = argv[i] + 2, *eq, *value;
                if (strncmp(argv[i], "--", 2) != 0 && strncmp(argv[i], "-v", 2) != 0) {
                        log_error("unexpected argument %s", argv[i]);
                        return false;
                }
                if (argv[i][1] != '-')
                        name = argv[i] + 1;
                eq = strchr(name, '=');
                value = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
                if (!value || take_option(s, name, eq ? (size_t)(eq - name) : strlen(name), value) < 0) {
                        log_error(value ? "unknown flag: --%.*s" : "flag needs an argument: --%.*s",
                                  (int)strcspn(name, "="), name);
                        return false;
                }
        }
        return true;
}

static bool check_settings(struct settings *s)
{
        char *end;
        unsigned long port = s->port ? strtoul(s->port, &end, 10) : 6443;

        if (s->port && (*end || port > 65535)) {
                log_error("--secure-port: %s is no port", s->port);
                return false;
        }
        s->server.secure_port = port;
        if (!s->etcd_servers) {
                log_error("--etcd-servers must be specified");
                return false;
        }
        if (!s->server.tls_cert_file || !s->server.tls_private_key_file) {
                log_error("--tls-cert-file and --tls-private-key-file must be specified");
                return false;
        }
        if (s->authorization_mode && strstr(s->authorization_mode, "AlwaysAllow")) {
                log_error("--authorization-mode: AlwaysAllow is not supported; Node,RBAC is what there is");
                return false;
        }
        if (!s->server.bind_address)
                s->server.bind_address = "0.0.0.0";
        if (!s->server.service_cluster_ip_range)
                s->server.service_cluster_ip_range = "10.96.0.0/12";
        return true;
}

static int open_store(struct settings *s, struct apiserver *server, struct error *reterr)
{
        const char *endpoints[LIST_MAX + 1];
        struct store_options o = {
                .endpoints = endpoints,
                .ca_file = s->etcd_cafile,
                .cert_file = s->etcd_certfile,
                .key_file = s->etcd_keyfile,
                .prefix = s->etcd_prefix ? s->etcd_prefix : "/registry",
        };

        split(s->etcd_servers, endpoints, LIST_MAX);
        return store_new(server->loop, &o, &server->store, reterr);
}

static int open_auth(struct settings *s, struct apiserver *server, struct error *reterr)
{
        static const char *audiences[LIST_MAX + 1], *names[LIST_MAX + 1];
        struct auth_options o = {
                .loop = server->loop,
                .store = server->store,
                .key_files = s->sa_key_files,
                .signing_key_file = s->sa_signing_key_file,
                .issuer = s->sa_issuer,
                .jwks_uri = s->sa_jwks_uri,
                .requestheader_ca_file = s->requestheader_ca,
                .no_anonymous = streq(s->anonymous, "false"),
        };

        if (s->api_audiences) {
                split(s->api_audiences, audiences, LIST_MAX);
                o.audiences = audiences;
        }
        if (s->requestheader_names) {
                split(s->requestheader_names, names, LIST_MAX);
                o.requestheader_allowed_names = names;
        }
        return auth_init(&o, reterr);
}

/* Waits for etcd, then creates what a cluster starts with; again until it is done. */
static void bootstrap(void *userdata)
{
        struct apiserver *s = userdata;
        int64_t wait = 20 * NS_PER_MS;
        bool told = false;

        while (!s->bootstrapped) {
                if (store_ready(s->store)) {
                        _cleanup_error_ struct error err = ERROR_INIT;
                        _cleanup_arena_ struct arena *a = arena_new(0);
                        struct api_request r;
                        request_init_internal(&r, s, a);
                        if (auth_bootstrap(&r, &err) == 0) {
                                s->bootstrapped = true;
                                log_info("ready");
                                return;
                        }
                        log_warn("first objects: %s", error_text(&err));
                } else if (!told && *store_trouble(s->store)) {
                        log_warn("waiting for etcd: %s", store_trouble(s->store));
                        told = true;
                }
                fiber_sleep(wait);
                wait = MIN(wait * 2, 2 * NS_PER_SEC);
        }
}

static void on_signal(int signo, void *userdata)
{
        struct apiserver *s = userdata;

        http_server_drain(s->http);
        loop_stop(s->loop, 0);
}

static int serve(struct settings *settings, struct apiserver *s, struct error *reterr)
{
        struct http_server_options o = {
                .address = settings->server.bind_address,
                .port = settings->server.secure_port,
                .cert_file = settings->server.tls_cert_file,
                .key_file = settings->server.tls_private_key_file,
                .client_ca_file = settings->server.client_ca_file,
                .handler = apiserver_handle,
                .userdata = s,
                .refuse = apiserver_refuse,
        };
        int r = open_store(settings, s, reterr);

        if (r == 0)
                r = open_auth(settings, s, reterr);
        if (r == 0)
                r = http_server_new(s->loop, &o, &s->http, reterr);
        if (r < 0)
                return r;
        log_info("listening on %s port %u", o.address, http_server_port(s->http));
        loop_signal(s->loop, SIGTERM, on_signal, s);
        loop_signal(s->loop, SIGINT, on_signal, s);
        fiber_start(s->loop, bootstrap, s);
        return loop_run(s->loop);
}

int main(int argc, char **argv)
{
        static struct settings settings;
        static struct apiserver server;
        _cleanup_error_ struct error err = ERROR_INIT;

        log_init("apiserver", LOG_LEVEL_INFO);
        signal(SIGPIPE, SIG_IGN);
        if (!parse_options(argc, argv, &settings) || !check_settings(&settings))
                return 2;
        server.o = settings.server;
        server.started = time_real();
        server.loop = loop_new();
        if (serve(&settings, &server, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        return 0;
}
