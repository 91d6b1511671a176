/* The table of daemons: see component.h. */
#include "component.h"

#include <limits.h>
#include <stdio.h>

static const char *const etcd_args[] = {
        "--name=colibri",
        "--data-dir={etcd.dataDir}",
        /* A socket for the API server, and TLS for etcdctl. etcd before 3.5 takes no path: it is started beside it. */
        "--listen-client-urls=https://127.0.0.1:{etcd.clientPort},unix://client:{etcd.clientPort}",
        "--advertise-client-urls=https://127.0.0.1:{etcd.clientPort}",
        "--listen-peer-urls=https://127.0.0.1:{etcd.peerPort}",
        "--initial-advertise-peer-urls=https://127.0.0.1:{etcd.peerPort}",
        "--initial-cluster=colibri=https://127.0.0.1:{etcd.peerPort}",
        "--client-cert-auth",
        "--trusted-ca-file={pki}/etcd-ca.crt",
        "--cert-file={pki}/etcd-server.crt",
        "--key-file={pki}/etcd-server.key",
        "--peer-client-cert-auth",
        "--peer-trusted-ca-file={pki}/etcd-ca.crt",
        "--peer-cert-file={pki}/etcd-peer.crt",
        "--peer-key-file={pki}/etcd-peer.key",
        "--quota-backend-bytes={etcd.quota}",
        "--snapshot-count=10000",
        "--logger=zap",
        "--log-level=warn",
        NULL,
};

static const char *const apiserver_args[] = {
        "--bind-address={apiserver.address}",
        "--secure-port={apiserver.port}",
        "--advertise-address={apiserver.advertiseAddress}",
        "--etcd-servers={etcd.servers}",
        "--etcd-cafile={etcd.caFile}",
        "--etcd-certfile={etcd.certFile}",
        "--etcd-keyfile={etcd.keyFile}",
        "--etcd-data-dir={etcd.dataDir}",
        "--tls-cert-file={pki}/apiserver.crt",
        "--tls-private-key-file={pki}/apiserver.key",
        "--client-ca-file={pki}/ca.crt",
        "--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        "--proxy-client-cert-file={pki}/front-proxy-client.crt",
        "--proxy-client-key-file={pki}/front-proxy-client.key",
        "--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        "--kubelet-client-key={pki}/apiserver-kubelet.key",
        "--kubelet-certificate-authority={pki}/ca.crt",
        "--service-account-key-file={pki}/sa.pub",
        "--service-account-signing-key-file={pki}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc.{dns.domain}",
        "--service-cluster-ip-range={network.serviceCIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth=true",
        "--allow-privileged=true",
        "--cluster-components={cluster.components}",
        "--audit-policy-file={apiserver.auditPolicyFile}",
        "--audit-log-path={apiserver.auditLogPath}",
        "--audit-log-maxage={apiserver.auditLogMaxAge}",
        "--audit-log-maxbackup={apiserver.auditLogMaxBackup}",
        "--audit-log-maxsize={apiserver.auditLogMaxSize}",
        "*apiserver.extraArgs",
        NULL,
};

static const char *const controllers_args[] = {
        "--kubeconfig={pki}/controllers.kubeconfig",
        "--leader-elect=false",
        "--root-ca-file={pki}/ca.crt",
        "--service-account-private-key-file={pki}/sa.key",
        "--cluster-signing-cert-file={pki}/ca.crt",
        "--cluster-signing-key-file={pki}/ca.key",
        "--node-monitor-grace-period={controllers.nodeMonitorGracePeriod}",
        "--node-monitor-period={controllers.nodeMonitorPeriod}",
        "--pvclaimbinder-sync-period={controllers.pvClaimBinderSyncPeriod}",
        "--terminated-pod-gc-threshold={controllers.terminatedPodGCThreshold}",
        "*controllers.extraArgs",
        NULL,
};

static const char *const scheduler_args[] = {
        "--kubeconfig={pki}/scheduler.kubeconfig",
        "--leader-elect=false",
        "*scheduler.extraArgs",
        NULL,
};

static const char *const kubelet_args[] = {
        "--kubeconfig={pki}/kubelet.kubeconfig",
        "--hostname-override={kubelet.nodeName}",
        "--node-ip={kubelet.nodeIP}",
        "--address={kubelet.address}",
        "--port={kubelet.port}",
        "--root-dir={dirs.data}/kubelet",
        "--run-dir={dirs.run}/kubelet",
        "--log-dir={dirs.log}/pods",
        "--pod-manifest-path={kubelet.staticPods}",
        "--tls-cert-file={pki}/kubelet.crt",
        "--tls-private-key-file={pki}/kubelet.key",
        "--client-ca-file={pki}/ca.crt",
        "--cluster-dns={dns.address}",
        "--cluster-domain={dns.domain}",
        "--pod-cidr={network.podCIDR}",
        "--cluster-cidr={network.clusterCIDR}",
        "--cni-conf-dir={network.cniConfig}",
        "--cni-bin-dir={network.cniPlugins}",
        "--bridge={network.bridge}",
        "--cgroup-root={kubelet.cgroup}",
        "--max-pods={kubelet.maxPods}",
        "--runtime={kubelet.runtime}",
        "--image-mirrors={images.mirrors}",
        "--insecure-registries={images.insecureRegistries}",
        "*kubelet.extraArgs",
        NULL,
};

static const char *const proxy_args[] = {
        "--kubeconfig={pki}/proxy.kubeconfig",
        "--hostname-override={kubelet.nodeName}",
        "--cluster-cidr={network.clusterCIDR}",
        "--service-cluster-ip-range={network.serviceCIDR}",
        "--nft-table={network.nftTable}",
        "--dns-address={dns.address}",
        "--cluster-domain={dns.domain}",
        "*proxy.extraArgs",
        NULL,
};

const struct component components[] = {
        { "etcd", "etcd", etcd_args, false, 10, "{etcd.socket}" },
        { "apiserver", "colibri-apiserver", apiserver_args, false, 10 },
        { "controllers", "colibri-controllers", controllers_args, true, 5 },
        { "scheduler", "colibri-scheduler", scheduler_args, true, 5 },
        { "kubelet", "colibri-kubelet", kubelet_args, true, 10 },
        { "proxy", "colibri-proxy", proxy_args, true, 5 },
};
const size_t n_components = ARRAY_SIZE(components);

const struct component *component_find(const char *name)
{
        for (size_t i = 0; i < n_components; i++)
                if (streq(components[i].name, name))
                        return &components[i];
        return NULL;
}

struct argv {
        char **list;
        size_t n, cap;
};

static void add(struct argv *v, char *owned)
{
        array_reserve(v->list, v->cap, v->n + 1);
        v->list[v->n++] = owned;
}

static void add_words(struct argv *v, const char *text)
{
        while (*(text += strspn(text, " \t\n"))) {
                size_t n = strcspn(text, " \t\n");

                add(v, xstrndup(text, n));
                text += n;
        }
}

/* Where PROGRAM lies: daemons beside this program or in dirs.bin, others in PATH. */
static char *program_path(const char *program, const struct settings *s)
{
        _cleanup_free_ char *dir = settings_get(s, "dirs.bin");
        char self[PATH_MAX];
        ssize_t n;

        if (!str_has_prefix(program, "colibri-"))
                return xstrdup(program);
        if (*dir)
                return xasprintf("%s/%s", dir, program);
        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n < 0)
                return xstrdup(program);
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        return xasprintf("%s/%s", self, program);
}

char **component_argv(const struct component *c, const struct settings *s)
{
        struct argv v = { 0 };

        add(&v, program_path(c->program, s));
        for (size_t i = 0; c->args[i]; i++) {
                _cleanup_free_ char *text = NULL;

                if (c->args[i][0] == '*') {
                        text = settings_get(s, c->args[i] + 1);
                        add_words(&v, text);
                        continue;
                }
                text = settings_fill(s, c->args[i]);
                if (*text && !str_has_suffix(text, "="))
                        add(&v, steal_ptr(text));
        }
        add(&v, NULL);
        return v.list;
}

void argv_free(char **argv)
{
        for (size_t i = 0; argv && argv[i]; i++)
                free(argv[i]);
        free(argv);
}
