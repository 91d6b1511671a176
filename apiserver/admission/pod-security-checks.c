/* The checks of the Pod Security Standards: see pod-security-checks.h. Each check says from which minor version
 * on it judges. */
#include "pod-security-checks.h"

#include <limits.h>
#include <stdlib.h>

/* A set of quoted words: upstream sorts values and keeps containers in the pod's order. */
struct words {
        const char **list; /* in the arena */
        size_t n, cap;
};

static const char *name_of(const struct json *j)
{
        const char *name = json_get_string(j, "name");

        return name ? name : "";
}

static bool in(const char *s, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (streq(s, list[i]))
                        return true;
        return false;
}

static void words_add(struct arena *a, struct words *w, const char *s)
{
        if (w->n == w->cap) {
                const char **list = arena_calloc(a, MAX(2 * w->cap, (size_t)8) * sizeof(*list));

                if (w->n)
                        memcpy(list, w->list, w->n * sizeof(*list));
                w->list = list;
                w->cap = MAX(2 * w->cap, (size_t)8);
        }
        w->list[w->n++] = s;
}

/* Sorted, each once. */
static void words_insert(struct arena *a, struct words *w, const char *s)
{
        size_t at = 0;

        if (in(s, w->list, w->n))
                return;
        while (at < w->n && strcmp(w->list[at], s) < 0)
                at++;
        words_add(a, w, s);
        memmove(w->list + at + 1, w->list + at, (w->n - 1 - at) * sizeof(*w->list));
        w->list[at] = s;
}

static const char *words_join(struct arena *a, const struct words *w, const char *separator, const char *quote)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < w->n; i++)
                strbuf_printf(&b, "%s%s%s%s", i ? separator : "", quote, w->list[i], quote);
        return arena_strdup(a, strbuf_str(&b));
}

static const char *words_quoted(struct arena *a, const struct words *w)
{
        return words_join(a, w, ", ", "\"");
}

/* What a check sees and says. */
struct check {
        struct arena *arena;
        const struct json *metadata, *spec;
        int minor;
        const char *reason, *detail; /* reason NULL: nothing found */
};

static void found(struct check *c, const char *reason, const char *fmt, ...) printf_like(3, 4);
static void found(struct check *c, const char *reason, const char *fmt, ...)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        va_list ap;

        va_start(ap, fmt);
        strbuf_vprintf(&b, fmt, ap);
        va_end(ap);
        c->reason = reason;
        c->detail = arena_strdup(c->arena, strbuf_str(&b));
}

static const struct json *security(const struct json *container_or_spec, const char *path)
{
        return json_path(json_get(container_or_spec, "securityContext"), path);
}

static const char *const container_lists[] = { "initContainers", "containers", "ephemeralContainers" };
#define foreach_container(spec, c) \
        for (size_t c##_list = 0; c##_list < ARRAY_SIZE(container_lists); c##_list++) \
                json_foreach_item(json_get(spec, container_lists[c##_list]), c)

/* "container "a"" or "containers "a", "b"" */
static const char *containers(struct arena *a, const struct words *names)
{
        return arena_printf(a, "container%s %s", names->n > 1 ? "s" : "", words_quoted(a, names));
}

/* "pod and container "a"": who set what they must not. NULL: nobody. */
static const char *setters(struct arena *a, bool pod, const struct words *names)
{
        if (!names->n)
                return pod ? "pod" : NULL;
        return arena_printf(a, "%s%s", pod ? "pod and " : "", containers(a, names));
}

static bool is_false(const struct json *j)
{
        return json_is_bool(j) && !j->boolean;
}

/* Containers in a user namespace, and those of Windows, need not do what protects a Linux host. */
static bool own_users(const struct check *c)
{
        return c->minor >= 35 && is_false(json_get(c->spec, "hostUsers"));
}

static bool windows(const struct check *c)
{
        return c->minor >= 25 && streq(json_path_string(c->spec, "os.name"), "windows");
}

/* --- baseline --- */

static void check_app_armor(struct check *c)
{
        static const char prefix[] = "container.apparmor.security.beta.kubernetes.io/";
        struct words names = { 0 }, values = { 0 }, annotations = { 0 };
        const char *type = json_string(security(c->spec, "appArmorProfile.type")), *who, *noted = "";
        bool pod = streq(type, "Unconfined");

        if (pod)
                words_insert(c->arena, &values, type);
        foreach_container(c->spec, ct) {
                type = json_string(security(ct, "appArmorProfile.type"));
                if (!streq(type, "Unconfined"))
                        continue;
                words_add(c->arena, &names, name_of(ct));
                words_insert(c->arena, &values, type);
        }
        json_foreach_member(json_get(c->metadata, "annotations"), m) {
                const char *v = json_string(m->value);

                if (!str_has_prefix(m->key, prefix) || str_empty(v) || streq(v, "runtime/default") ||
                    str_has_prefix(v, "localhost/"))
                        continue;
                words_insert(c->arena, &annotations, arena_printf(c->arena, "%s=%s", m->key, json_print(c->arena, m->value)));
        }
        who = setters(c->arena, pod, &names);
        if (annotations.n)
                noted = arena_printf(c->arena, "%sannotation%s", who ? " and " : "", annotations.n > 1 ? "s" : "");
        for (size_t i = 0; i < annotations.n; i++)
                words_add(c->arena, &values, annotations.list[i]);
        if (values.n)
                found(c, values.n > 1 ? "forbidden AppArmor profiles" : "forbidden AppArmor profile",
                      "%s%s must not set AppArmor profile type to %s", who ? who : "", noted, words_quoted(c->arena, &values));
}

static void check_capabilities(struct check *c)
{
        static const char *const ok[] = { "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
                                          "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT" };
        struct words names = { 0 }, caps = { 0 };

        foreach_container(c->spec, ct) {
                bool bad = false;

                json_foreach_item(security(ct, "capabilities.add"), cap) {
                        if (in(json_string(cap), ok, ARRAY_SIZE(ok)))
                                continue;
                        bad = true;
                        words_insert(c->arena, &caps, json_string(cap));
                }
                if (bad)
                        words_add(c->arena, &names, name_of(ct));
        }
        if (names.n)
                found(c, "non-default capabilities", "%s must not include %s in securityContext.capabilities.add",
                      containers(c->arena, &names), words_quoted(c->arena, &caps));
}

static void check_host_namespaces(struct check *c)
{
        static const char *const fields[] = { "hostNetwork", "hostPID", "hostIPC" };
        struct words set = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (json_is_true(json_get(c->spec, fields[i])))
                        words_add(c->arena, &set, arena_printf(c->arena, "%s=true", fields[i]));
        if (set.n)
                found(c, "host namespaces", "%s", words_join(c->arena, &set, ", ", ""));
}

static void check_host_path(struct check *c)
{
        struct words names = { 0 };

        json_foreach_item(json_get(c->spec, "volumes"), v)
                if (json_get(v, "hostPath"))
                        words_add(c->arena, &names, name_of(v));
        if (names.n)
                found(c, "hostPath volumes", "volume%s %s", names.n > 1 ? "s" : "", words_quoted(c->arena, &names));
}

static void check_host_ports(struct check *c)
{
        struct words names = { 0 }, ports = { 0 };

        foreach_container(c->spec, ct) {
                bool bad = false;

                json_foreach_item(json_get(ct, "ports"), p) {
                        int64_t port = json_get_int(p, "hostPort", 0);

                        if (!port)
                                continue;
                        bad = true;
                        words_insert(c->arena, &ports, arena_printf(c->arena, "%lld", (long long)port));
                }
                if (bad)
                        words_add(c->arena, &names, name_of(ct));
        }
        if (names.n)
                found(c, "hostPort", "%s use%s hostPort%s %s", containers(c->arena, &names), names.n > 1 ? "" : "s",
                      ports.n > 1 ? "s" : "", words_join(c->arena, &ports, ", ", ""));
}

static void check_probe_hosts(struct check *c)
{
        static const char *const handlers[] = { "livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart",
                                                "lifecycle.preStop" };
        static const char *const ways[] = { "httpGet", "tcpSocket" };
        struct words names = { 0 }, hosts = { 0 };

        foreach_container(c->spec, ct) {
                bool bad = false;

                for (size_t i = 0; i < ARRAY_SIZE(handlers) * ARRAY_SIZE(ways); i++) {
                        const struct json *way = json_get(json_path(ct, handlers[i / 2]), ways[i % 2]);
                        const char *host = json_get_string(way, "host");

                        if (str_empty(host))
                                continue;
                        bad = true;
                        words_insert(c->arena, &hosts, host);
                }
                if (bad)
                        words_add(c->arena, &names, name_of(ct));
        }
        if (names.n)
                found(c, "probe or lifecycle host", "%s use%s probe or lifecycle host%s %s", containers(c->arena, &names),
                      names.n > 1 ? "" : "s", hosts.n > 1 ? "s" : "", words_quoted(c->arena, &hosts));
}

static void check_privileged(struct check *c)
{
        struct words names = { 0 };

        foreach_container(c->spec, ct)
                if (json_is_true(security(ct, "privileged")))
                        words_add(c->arena, &names, name_of(ct));
        if (names.n)
                found(c, "privileged", "%s must not set securityContext.privileged=true", containers(c->arena, &names));
}

static void proc_mount(struct check *c)
{
        struct words names = { 0 }, types = { 0 };

        foreach_container(c->spec, ct) {
                const char *type = json_string(security(ct, "procMount"));

                if (str_empty(type) || streq(type, "Default"))
                        continue;
                words_add(c->arena, &names, name_of(ct));
                words_insert(c->arena, &types, type);
        }
        if (names.n)
                found(c, "procMount", "%s must not set securityContext.procMount to %s", containers(c->arena, &names),
                      words_quoted(c->arena, &types));
}

static void check_proc_mount(struct check *c)
{
        if (!own_users(c))
                proc_mount(c);
}

static void check_selinux(struct check *c)
{
        static const char *const ok[] = { "container_t", "container_init_t", "container_kvm_t", "container_engine_t" };
        struct words names = { 0 }, types = { 0 }, data = { 0 };
        bool pod = false, user = false, role = false;
        const char *who;

        for (size_t i = 0; i <= ARRAY_SIZE(container_lists); i++) {
                const struct json *list = i ? json_get(c->spec, container_lists[i - 1]) : NULL;

                for (size_t k = 0; k < (i ? json_len(list) : 1); k++) {
                        const struct json *owner = i ? json_at(list, k) : c->spec, *o = security(owner, "seLinuxOptions");
                        const char *type = json_get_string(o, "type");
                        bool bad_type = !str_empty(type) && !in(type, ok, c->minor >= 31 ? 4 : 3),
                             bad_user = !str_empty(json_get_string(o, "user")),
                             bad_role = !str_empty(json_get_string(o, "role"));

                        if (!bad_type && !bad_user && !bad_role)
                                continue;
                        if (bad_type)
                                words_insert(c->arena, &types, type);
                        user |= bad_user;
                        role |= bad_role;
                        pod |= !i;
                        if (i)
                                words_add(c->arena, &names, name_of(owner));
                }
        }
        who = setters(c->arena, pod, &names);
        if (types.n)
                words_add(c->arena, &data, arena_printf(c->arena, "type%s %s", types.n > 1 ? "s" : "", words_quoted(c->arena, &types)));
        if (user)
                words_add(c->arena, &data, "user may not be set");
        if (role)
                words_add(c->arena, &data, "role may not be set");
        if (who)
                found(c, "seLinuxOptions", "%s set forbidden securityContext.seLinuxOptions: %s", who,
                      words_join(c->arena, &data, "; ", ""));
}

static bool good_seccomp(const char *type)
{
        return streq(type, "RuntimeDefault") || streq(type, "Localhost");
}

/* Who says a forbidden profile; true: somebody did. */
static bool explicit_seccomp(struct check *c)
{
        const char *type = json_string(security(c->spec, "seccompProfile.type")), *who;
        bool pod = type && !good_seccomp(type);
        struct words names = { 0 }, values = { 0 };

        if (pod)
                words_insert(c->arena, &values, type);
        foreach_container(c->spec, ct) {
                type = json_string(security(ct, "seccompProfile.type"));
                if (!type || good_seccomp(type))
                        continue;
                words_add(c->arena, &names, name_of(ct));
                words_insert(c->arena, &values, type);
        }
        who = setters(c->arena, pod, &names);
        if (who)
                found(c, "seccompProfile", "%s must not set securityContext.seccompProfile.type to %s", who,
                      words_quoted(c->arena, &values));
        return who != NULL;
}

/* Before there were fields, annotations said it. */
static void seccomp_annotation(struct check *c, struct words *bad, const char *key)
{
        const struct json *value = json_get(json_get(c->metadata, "annotations"), key);
        const char *v = json_string(value);

        if (v && !streq(v, "runtime/default") && !streq(v, "docker/default") && !str_has_prefix(v, "localhost/"))
                words_insert(c->arena, bad, arena_printf(c->arena, "%s=%s", key, json_print(c->arena, value)));
}

static void check_seccomp(struct check *c)
{
        struct words bad = { 0 };

        if (c->minor >= 19) {
                explicit_seccomp(c);
                return;
        }
        seccomp_annotation(c, &bad, "seccomp.security.alpha.kubernetes.io/pod");
        foreach_container(c->spec, ct)
                seccomp_annotation(c, &bad, arena_join(c->arena, "container.seccomp.security.alpha.kubernetes.io/", name_of(ct),
                                                  NULL));
        if (bad.n)
                found(c, "seccompProfile", "forbidden annotation%s %s", bad.n > 1 ? "s" : "", words_join(c->arena, &bad, ", ", ""));
}

static void check_sysctls(struct check *c)
{
        static const struct {
                const char *name;
                int since;
        } ok[] = {
                { "kernel.shm_rmid_forced", 0 }, { "net.ipv4.ip_local_port_range", 0 }, { "net.ipv4.tcp_syncookies", 0 },
                { "net.ipv4.ping_group_range", 0 }, { "net.ipv4.ip_unprivileged_port_start", 0 },
                { "net.ipv4.ip_local_reserved_ports", 27 }, { "net.ipv4.tcp_keepalive_time", 29 },
                { "net.ipv4.tcp_fin_timeout", 29 }, { "net.ipv4.tcp_keepalive_intvl", 29 },
                { "net.ipv4.tcp_keepalive_probes", 29 }, { "net.ipv4.tcp_rmem", 32 }, { "net.ipv4.tcp_wmem", 32 },
        };
        struct words bad = { 0 };

        json_foreach_item(security(c->spec, "sysctls"), s) {
                bool fine = false;

                for (size_t i = 0; i < ARRAY_SIZE(ok); i++)
                        fine |= c->minor >= ok[i].since && streq(name_of(s), ok[i].name);
                if (!fine)
                        words_add(c->arena, &bad, name_of(s));
        }
        if (bad.n)
                found(c, "forbidden sysctls", "%s", words_join(c->arena, &bad, ", ", ""));
}

static void check_host_process(struct check *c)
{
        struct words names = { 0 };
        const char *who;

        foreach_container(c->spec, ct)
                if (json_is_true(security(ct, "windowsOptions.hostProcess")))
                        words_add(c->arena, &names, name_of(ct));
        who = setters(c->arena, json_is_true(security(c->spec, "windowsOptions.hostProcess")), &names);
        if (who)
                found(c, "hostProcess", "%s must not set securityContext.windowsOptions.hostProcess=true", who);
}

/* --- restricted --- */

static void check_escalation(struct check *c)
{
        struct words names = { 0 };

        if (windows(c))
                return;
        foreach_container(c->spec, ct)
                if (!is_false(security(ct, "allowPrivilegeEscalation")))
                        words_add(c->arena, &names, name_of(ct));
        if (names.n)
                found(c, "allowPrivilegeEscalation != false", "%s must set securityContext.allowPrivilegeEscalation=false",
                      containers(c->arena, &names));
}

static void check_few_capabilities(struct check *c)
{
        struct words keep = { 0 }, add = { 0 }, caps = { 0 }, all = { 0 };

        if (windows(c))
                return;
        foreach_container(c->spec, ct) {
                bool drops = false, adds = false;

                json_foreach_item(security(ct, "capabilities.drop"), cap)
                        drops |= streq(json_string(cap), "ALL");
                json_foreach_item(security(ct, "capabilities.add"), cap) {
                        if (streq(json_string(cap), "NET_BIND_SERVICE"))
                                continue;
                        adds = true;
                        words_insert(c->arena, &caps, json_string(cap));
                }
                if (!drops)
                        words_add(c->arena, &keep, name_of(ct));
                if (adds)
                        words_add(c->arena, &add, name_of(ct));
        }
        if (keep.n)
                words_add(c->arena, &all, arena_printf(c->arena, "%s must set securityContext.capabilities.drop=[\"ALL\"]",
                                             containers(c->arena, &keep)));
        if (add.n)
                words_add(c->arena, &all, arena_printf(c->arena, "%s must not include %s in securityContext.capabilities.add",
                                             containers(c->arena, &add), words_quoted(c->arena, &caps)));
        if (all.n)
                found(c, "unrestricted capabilities", "%s", words_join(c->arena, &all, "; ", ""));
}

static void check_volume_types(struct check *c)
{
        static const char *const ok[] = { "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
                                          "persistentVolumeClaim", "projected", "secret", "image" };
        struct words names = { 0 }, types = { 0 };

        json_foreach_item(json_get(c->spec, "volumes"), v) {
                json_foreach_member(v, m) {
                        if (streq(m->key, "name") || in(m->key, ok, ARRAY_SIZE(ok)))
                                continue;
                        words_add(c->arena, &names, name_of(v));
                        words_insert(c->arena, &types, m->key);
                }
        }
        if (names.n)
                found(c, "restricted volume types", "volume%s %s use%s restricted volume type%s %s", names.n > 1 ? "s" : "",
                      words_quoted(c->arena, &names), names.n > 1 ? "" : "s", types.n > 1 ? "s" : "",
                      words_quoted(c->arena, &types));
}

static void check_non_root(struct check *c)
{
        const struct json *pod = security(c->spec, "runAsNonRoot");
        struct words say_false = { 0 }, silent = { 0 };
        const char *who;

        if (own_users(c))
                return;
        foreach_container(c->spec, ct) {
                const struct json *own = security(ct, "runAsNonRoot");

                if (is_false(own))
                        words_add(c->arena, &say_false, name_of(ct));
                else if (!json_is_true(own) && !json_is_true(pod))
                        words_add(c->arena, &silent, name_of(ct));
        }
        who = setters(c->arena, is_false(pod), &say_false);
        if (who)
                found(c, "runAsNonRoot != true", "%s must not set securityContext.runAsNonRoot=false", who);
        else if (silent.n)
                found(c, "runAsNonRoot != true", "pod or %s must set securityContext.runAsNonRoot=true",
                      containers(c->arena, &silent));
}

static bool is_zero(const struct json *j)
{
        int64_t n;

        return j && json_to_int(j, &n) == 0 && n == 0;
}

static void check_user(struct check *c)
{
        struct words names = { 0 };
        const char *who;

        if (own_users(c))
                return;
        foreach_container(c->spec, ct)
                if (is_zero(security(ct, "runAsUser")))
                        words_add(c->arena, &names, name_of(ct));
        who = setters(c->arena, is_zero(security(c->spec, "runAsUser")), &names);
        if (who)
                found(c, "runAsUser=0", "%s must not set runAsUser=0", who);
}

static void check_must_seccomp(struct check *c)
{
        struct words silent = { 0 };

        if (windows(c) || explicit_seccomp(c) || security(c->spec, "seccompProfile.type"))
                return;
        foreach_container(c->spec, ct)
                if (!security(ct, "seccompProfile.type"))
                        words_add(c->arena, &silent, name_of(ct));
        if (silent.n)
                found(c, "seccompProfile", "pod or %s must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
                      "\"Localhost\"", containers(c->arena, &silent));
}

/* In the order of their names upstream, which is the order in which clients read them. */
static const struct {
        void (*run)(struct check *c);
        bool restricted; /* judges the restricted profile only */
        int since;       /* minor version */
        int replaced;    /* from which on the restricted profile has a stricter one in its place */
} checks[] = {
        { check_app_armor, false, 0, INT_MAX },
        { check_capabilities, false, 0, 22 },
        { check_host_namespaces, false, 0, INT_MAX },
        { check_host_path, false, 0, 0 },
        { check_host_ports, false, 0, INT_MAX },
        { check_probe_hosts, false, 34, INT_MAX },
        { check_privileged, false, 0, INT_MAX },
        { check_proc_mount, false, 0, 35 },
        { check_selinux, false, 0, INT_MAX },
        { check_seccomp, false, 0, 19 },
        { check_sysctls, false, 0, INT_MAX },
        { check_host_process, false, 0, INT_MAX },
        { check_escalation, true, 8, 0 },
        { check_few_capabilities, true, 22, 0 },
        { proc_mount, true, 35, 0 },
        { check_volume_types, true, 0, 0 },
        { check_non_root, true, 0, 0 },
        { check_user, true, 23, 0 },
        { check_must_seccomp, true, 19, 0 },
};

const char *pod_security_violations(struct arena *a, const struct json *metadata, const struct json *spec,
                                    const struct pod_security_policy *policy, bool details)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        bool restricted = streq(policy->level, "restricted");

        if (!restricted && !streq(policy->level, "baseline"))
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                struct check c = { .arena = a, .metadata = metadata, .spec = spec, .minor = policy->minor };

                if (checks[i].restricted ? !restricted : restricted && policy->minor >= checks[i].replaced)
                        continue;
                if (c.minor >= checks[i].since)
                        checks[i].run(&c);
                if (!c.reason)
                        continue;
                strbuf_printf(&b, "%s%s", b.len ? ", " : "", c.reason);
                if (details)
                        strbuf_printf(&b, " (%s)", c.detail);
        }
        return b.len ? arena_strdup(a, b.data) : NULL;
}

bool pod_security_version(const char *text, int *ret_minor)
{
        char *end;
        long minor;

        if (streq(text, "latest")) {
                *ret_minor = POD_SECURITY_LATEST;
                return true;
        }
        if (!str_has_prefix(text, "v1.") || !text[3] || (text[3] == '0' && text[4]))
                return false;
        minor = strtol(text + 3, &end, 10);
        *ret_minor = (int)MIN(minor, (long)POD_SECURITY_LATEST);
        return text[3] >= '0' && text[3] <= '9' && !*end;
}
