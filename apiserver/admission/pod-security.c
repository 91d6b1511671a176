/* PodSecurity: the baseline and restricted profiles that a namespace's labels ask for. */
#include "internal.h"

struct findings {
        struct arena *arena;
        struct strbuf text;
};

/* Names of containers for which FAILS, as "container "a"" or "containers "a", "b""; NULL: none. */
typedef bool fails_fn(const struct json *container, const struct json *spec);

static const char *offenders(struct arena *a, const struct json *spec, fails_fn *fails)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                json_foreach_item(json_get(spec, lists[i]), c) {
                        if (fails(c, spec))
                                strbuf_printf(&b, "%s\"%s\"", n++ ? ", " : "", get_string(c, "name"));
                }
        }
        return n ? arena_printf(a, "container%s %s", n > 1 ? "s" : "", b.data) : NULL;
}

static void found(struct findings *f, const char *fmt, ...) printf_like(2, 3);
static void found(struct findings *f, const char *fmt, ...)
{
        va_list ap;

        strbuf_puts(&f->text, f->text.len ? ", " : "");
        va_start(ap, fmt);
        strbuf_vprintf(&f->text, fmt, ap);
        va_end(ap);
}

static bool in(const char *s, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (streq(s, list[i]))
                        return true;
        }
        return false;
}

static bool privileged(const struct json *c, const struct json *spec)
{
        return json_path_bool(c, "securityContext.privileged", false);
}
static bool bad_caps(const struct json *c, const struct json *spec)
{
        static const char *const ok[] = { "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
                                          "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT" };

        json_foreach_item(json_path(c, "securityContext.capabilities.add"), cap) {
                if (!in(json_string(cap), ok, ARRAY_SIZE(ok)))
                        return true;
        }
        return false;
}
static bool host_port(const struct json *c, const struct json *spec)
{
        json_foreach_item(json_get(c, "ports"), p) {
                if (json_get_int(p, "hostPort", 0))
                        return true;
        }
        return false;
}
static bool seccomp_unconfined(const struct json *c, const struct json *spec)
{
        return streq(get_string(c, "securityContext.seccompProfile.type"), "Unconfined");
}
static bool apparmor_unconfined(const struct json *c, const struct json *spec)
{
        return streq(get_string(c, "securityContext.appArmorProfile.type"), "Unconfined");
}
static bool proc_unmasked(const struct json *c, const struct json *spec)
{
        return streq(get_string(c, "securityContext.procMount"), "Unmasked") && json_get_bool(spec, "hostUsers", true);
}
static bool escalates(const struct json *c, const struct json *spec)
{
        return json_path_bool(c, "securityContext.allowPrivilegeEscalation", true);
}
static bool keeps_caps(const struct json *c, const struct json *spec)
{
        json_foreach_item(json_path(c, "securityContext.capabilities.drop"), cap) {
                if (streq(json_string(cap), "ALL"))
                        return false;
        }
        return true;
}
static bool adds_caps(const struct json *c, const struct json *spec)
{
        json_foreach_item(json_path(c, "securityContext.capabilities.add"), cap) {
                if (!streq(json_string(cap), "NET_BIND_SERVICE"))
                        return true;
        }
        return false;
}
static bool may_be_root(const struct json *c, const struct json *spec)
{
        return !json_path_bool(c, "securityContext.runAsNonRoot", json_path_bool(spec, "securityContext.runAsNonRoot", false));
}
static bool root_user(const struct json *c, const struct json *spec)
{
        return json_path_int(c, "securityContext.runAsUser", 1) == 0;
}
static bool no_seccomp(const struct json *c, const struct json *spec)
{
        const char *type = get_string(c, "securityContext.seccompProfile.type");

        if (!*type)
                type = get_string(spec, "securityContext.seccompProfile.type");
        return !streq(type, "RuntimeDefault") && !streq(type, "Localhost");
}

static const char *caps_of(struct arena *a, const struct json *spec)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *names[64];
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                json_foreach_item(json_get(spec, lists[i]), c) {
                        json_foreach_item(json_path(c, "securityContext.capabilities.add"), cap) {
                                const char *s = json_string(cap);
                                size_t at = 0;

                                if (!s || n == ARRAY_SIZE(names) || in(s, names, n) || streq(s, "NET_BIND_SERVICE"))
                                        continue;
                                while (at < n && strcmp(names[at], s) < 0)
                                        at++;
                                memmove(names + at + 1, names + at, (n - at) * sizeof(*names));
                                names[at] = s;
                                n++;
                        }
                }
        }
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s\"%s\"", i ? ", " : "", names[i]);
        return arena_strdup(a, strbuf_str(&b));
}

static const char *volumes_of(struct arena *a, const struct json *spec, bool restricted)
{
        static const char *const ok[] = { "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
                                          "persistentVolumeClaim", "projected", "secret", "image" };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        size_t n = 0;

        json_foreach_item(json_get(spec, "volumes"), v) {
                bool bad = json_get(v, "hostPath") != NULL;

                json_foreach_member(v, m) {
                        bad = bad || (restricted && strcmp(m->key, "name") != 0 && !in(m->key, ok, ARRAY_SIZE(ok)));
                }
                if (bad)
                        strbuf_printf(&b, "%s\"%s\"", n++ ? ", " : "", get_string(v, "name"));
        }
        return n ? arena_printf(a, "volume%s %s", n > 1 ? "s" : "", b.data) : NULL;
}

static void baseline(struct findings *f, const struct json *spec, bool restricted)
{
        struct arena *a = f->arena;
        const char *who;
        bool net = json_get_bool(spec, "hostNetwork", false), pid = json_get_bool(spec, "hostPID", false),
             ipc = json_get_bool(spec, "hostIPC", false);

        if (net || pid || ipc)
                found(f, "host namespaces (%s%s%s%s%s)", net ? "hostNetwork=true" : "", net && (pid || ipc) ? ", " : "",
                      pid ? "hostPID=true" : "", pid && ipc ? ", " : "", ipc ? "hostIPC=true" : "");
        if ((who = offenders(a, spec, privileged)))
                found(f, "privileged (%s must not set securityContext.privileged=true)", who);
        if (!restricted && (who = offenders(a, spec, bad_caps)))
                found(f, "non-default capabilities (%s must not include %s in securityContext.capabilities.add)", who,
                      caps_of(a, spec));
        if (!restricted && (who = volumes_of(a, spec, false)))
                found(f, "hostPath volumes (%s)", who);
        if ((who = offenders(a, spec, host_port)))
                found(f, "hostPort (%s uses hostPorts)", who);
        if (streq(get_string(spec, "securityContext.appArmorProfile.type"), "Unconfined"))
                found(f, "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")");
        else if ((who = offenders(a, spec, apparmor_unconfined)))
                found(f, "forbidden AppArmor profile (%s must not set AppArmor profile type to \"Unconfined\")", who);
        if ((who = offenders(a, spec, proc_unmasked)))
                found(f, "procMount (%s must not set securityContext.procMount to \"Unmasked\")", who);
        if (!restricted && streq(get_string(spec, "securityContext.seccompProfile.type"), "Unconfined"))
                found(f, "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")");
        else if (!restricted && (who = offenders(a, spec, seccomp_unconfined)))
                found(f, "seccompProfile (%s must not set securityContext.seccompProfile.type to \"Unconfined\")", who);
}

static void restricted_profile(struct findings *f, const struct json *spec)
{
        struct arena *a = f->arena;
        const char *drop = offenders(a, spec, keeps_caps), *add = offenders(a, spec, adds_caps), *who;
        bool users = json_get_bool(spec, "hostUsers", true);

        if ((who = offenders(a, spec, escalates)))
                found(f, "allowPrivilegeEscalation != false (%s must set securityContext.allowPrivilegeEscalation=false)", who);
        if (drop || add)
                found(f, "unrestricted capabilities (%s%s%s%s%s%s%s)", drop ? drop : "",
                      drop ? " must set securityContext.capabilities.drop=[\"ALL\"]" : "", drop && add ? "; " : "",
                      add ? add : "", add ? " must not include " : "", add ? caps_of(a, spec) : "",
                      add ? " in securityContext.capabilities.add" : "");
        if ((who = volumes_of(a, spec, true)))
                found(f, "restricted volume types (%s)", who);
        if (users && (who = offenders(a, spec, may_be_root)))
                found(f, "runAsNonRoot != true (pod or %s must set securityContext.runAsNonRoot=true)", who);
        if (users && json_path_int(spec, "securityContext.runAsUser", 1) == 0)
                found(f, "runAsUser=0 (pod must not set runAsUser=0)");
        else if (users && (who = offenders(a, spec, root_user)))
                found(f, "runAsUser=0 (%s must not set runAsUser=0)", who);
        if ((who = offenders(a, spec, no_seccomp)))
                found(f, "seccompProfile (pod or %s must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
                         "\"Localhost\")", who);
}

static const char *violations(struct arena *a, const struct json *spec, const char *level)
{
        struct findings f = { .arena = a };
        const char *text;

        if (!streq(level, "baseline") && !streq(level, "restricted"))
                return NULL;
        baseline(&f, spec, streq(level, "restricted"));
        if (streq(level, "restricted"))
                restricted_profile(&f, spec);
        text = f.text.len ? arena_strdup(a, f.text.data) : NULL;
        strbuf_deinit(&f.text);
        return text;
}

static const struct status *validate(struct admission_attributes *at)
{
        const struct json *spec = json_get(at->object, "spec"), *labels;
        bool pod = about(at, "", "pods");
        const char *level, *text;

        if (*at->subresource && !streq(at->subresource, "ephemeralcontainers"))
                return NULL;
        if (!pod)
                spec = about(at, "batch", "cronjobs") ? json_path(spec, "jobTemplate.spec.template.spec")
                                                      : json_path(spec, "template.spec");
        if (!json_is_object(spec) || !*at->namespace)
                return NULL;
        labels = json_path(admission_get(at, "", "v1", "namespaces", "", at->namespace), "metadata.labels");
        level = json_get_string(labels, "pod-security.kubernetes.io/enforce");
        if (pod && (text = violations(at->request->arena, spec, level)))
                return deny(at, "violates PodSecurity \"%s:latest\": %s", level, text);
        level = json_get_string(labels, "pod-security.kubernetes.io/warn");
        if ((text = violations(at->request->arena, spec, level)))
                request_warn(at->request, "would violate PodSecurity \"%s:latest\": %s", level, text);
        return NULL;
}
const struct admission_plugin plugin_pod_security = {
        .name = "PodSecurity", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .validate = validate
};
