/* What rules about containers cannot say: handlers, environments, ports, privileges, names among others. */
#include <ctype.h>

#include "functions.h"
#include "metadata.h"

/* The pod spec around AT. */
static const struct at *pod_spec(const struct at *at)
{
        while (at->up && !json_get(at->j, "containers"))
                at = at->up;
        return at;
}

bool cond_padded(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        size_t n = strlen(s);

        unused(c);
        return n && (isspace((unsigned char)s[0]) || isspace((unsigned char)s[n - 1]));
}

/* --- names among the others --- */

static bool named(const struct json *list, size_t n, const char *name)
{
        for (size_t i = 0; i < n && i < json_len(list); i++)
                if (streq(json_get_string(json_at(list, i), "name") ?: "", name))
                        return true;
        return false;
}

/* Among the containers, and those of the same list before it. */
static void check_name_among(struct check *c, const struct at *name, bool init_too)
{
        const struct at *item = name->up, *spec = item->up->up;

        if (named(json_get(spec->j, "containers"), SIZE_MAX, text_at(name)) ||
            (init_too && named(json_get(spec->j, "initContainers"), SIZE_MAX, text_at(name))) ||
            named(item->up->j, item->index, text_at(name)))
                field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, name), name->j, NULL);
}

void check_init_name(struct check *c, const struct at *at)
{
        if (*text_at(at))
                check_name_among(c, at, false);
        else if (named(json_get(at->up->up->up->j, "containers"), SIZE_MAX, ""))
                field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at), at->j, NULL);
}

void check_ephemeral_name(struct check *c, const struct at *at)
{
        check_name_among(c, at, true);
}

/* --- ports --- */

void check_port(struct check *c, const struct at *port)
{
        int64_t v;

        if (json_is_string(port->j))
                check_name(c, port, NAME_PORT);
        else if (json_to_int(port->j, &v) == 0 && (v < 1 || v > 65535))
                check_invalid(c, port, "must be between 1 and 65535, inclusive");
}

void check_port_name_once(struct check *c, const struct at *at)
{
        const struct at *item = at->up;
        const char *messages[NAME_MESSAGES];

        if (at_empty(at) || name_check(c->a, NAME_PORT, text_at(at), messages))
                return;
        for (size_t i = 0; i < item->index; i++)
                if (json_equal(json_get(json_at(item->up->j, i), "name"), at->j)) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, at), at->j, NULL);
                        return;
                }
}

/* "TCP//80": what one node can give only once. NULL: no port of the node. */
static const char *host_port_key(struct check *c, const struct json *port)
{
        int64_t n = json_get_int(port, "hostPort", 0);

        return n ? arena_printf(c->a, "%s/%s/%lld", json_get_string(port, "protocol") ?: "", json_get_string(port, "hostIP") ?: "",
                                (long long)n) :
                   NULL;
}

/* Reports each of container INDEX's ports that was SEEN before, then adds them. Errors call the container SHOWN. */
static void take_host_ports(struct check *c, const struct at *list, size_t index, size_t shown, struct json *seen)
{
        json_foreach_item(json_get(json_at(list->j, index), "ports"), port) {
                const char *key = host_port_key(c, port);

                if (key && json_get(seen, key))
                        field_error_add(c->errs, FIELD_DUPLICATE,
                                        arena_printf(c->a, "%s[%zu].ports[%zu].hostPort", at_path(c, list), shown, port_i),
                                        json_new_string(c->a, key), NULL);
                else if (key)
                        json_set_bool(c->a, seen, key, true);
        }
}

void check_host_ports(struct check *c, const struct at *list)
{
        struct json *seen = json_new_object(c->a);

        for (size_t i = 0; i < json_len(list->j); i++)
                take_host_ports(c, list, i, i, seen);
}

/* Init containers run one by one: each has the node's ports for itself. Upstream calls each of them the first. */
void check_init_host_ports(struct check *c, const struct at *ports)
{
        const struct at *container = ports->up;

        take_host_ports(c, container->up, container->index, 0, json_new_object(c->a));
}

/* --- handlers --- */

static void check_http_get(struct check *c, const struct at *http)
{
        static const char *const schemes[] = { "HTTP", "HTTPS", NULL };
        const struct at *path = at_field(c, http, "path"), *headers = at_field(c, http, "httpHeaders");

        if (at_empty(path))
                check_required(c, path, NULL);
        check_port(c, at_field(c, http, "port"));
        check_enum(c, at_field(c, http, "scheme"), schemes);
        json_foreach_item(headers->j, h)
                name_validate_string(c->errs, NAME_HTTP_HEADER, at_path(c, headers), json_get_string(h, "name") ?: "");
}

static void check_sleep(struct check *c, const struct at *sleep)
{
        int64_t grace, seconds = json_get_int(sleep->j, "seconds", 0);

        if (json_to_int(json_get(pod_spec(sleep)->j, "terminationGracePeriodSeconds"), &grace) == 0 && (seconds < 0 || seconds > grace))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, sleep), json_new_int(c->a, seconds),
                                "must be non-negative and less than terminationGracePeriodSeconds (%lld)", (long long)grace);
}

static void check_handler(struct check *c, const struct at *at, const char *const *fields)
{
        unsigned n = 0;

        for (; *fields; fields++) {
                const struct at *h = at_field(c, at, *fields), *command = at_field(c, h, "command");

                if (!at_set(h))
                        continue;
                if (n++)
                        check_forbidden(c, h, "may not specify more than 1 handler type");
                else if (streq(*fields, "exec") && at_empty(command))
                        check_required(c, command, NULL);
                else if (streq(*fields, "httpGet"))
                        check_http_get(c, h);
                else if (streq(*fields, "sleep"))
                        check_sleep(c, h);
                else if (streq(*fields, "tcpSocket") || streq(*fields, "grpc"))
                        check_port(c, at_field(c, h, "port"));
        }
        if (!n)
                check_required(c, at, "must specify a handler type");
}

void check_probe_handler(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "exec", "httpGet", "tcpSocket", "grpc", NULL };

        check_handler(c, at, fields);
}

void check_lifecycle_handler(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "exec", "httpGet", "tcpSocket", "sleep", NULL };

        check_handler(c, at, fields);
}

/* --- environments --- */

static unsigned count_set(const struct at *at, const char *const *fields)
{
        unsigned n = 0;

        for (; *fields; fields++) {
                const struct json *j = json_get(at->j, *fields);

                n += j && !json_is_null(j);
        }
        return n;
}

/* The sources as such are shown as an empty string. */
static void source_error(struct check *c, const struct at *at, const char *detail)
{
        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "%s", detail);
}

void check_env_source(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef",
                                              "fileKeyRef", NULL };
        unsigned n = count_set(at, fields);

        if (!n)
                source_error(c, at, "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
                                    "`secretKeyRef` or `fileKeyRef`");
        else if (!str_empty(json_get_string(at->up->j, "value")))
                source_error(c, at, "may not be specified when `value` is not empty");
        else if (n > 1)
                source_error(c, at, "may not have more than one field specified at a time");
}

void check_env_from(struct check *c, const struct at *at)
{
        static const char *const fields[] = { "configMapRef", "secretRef", NULL };
        unsigned n = count_set(at, fields);

        if (!n)
                source_error(c, at->up, "must specify one of: `configMapRef` or `secretRef`");
        else if (n > 1)
                source_error(c, at->up, "may not have more than one field specified at a time");
}

/* --- privileges --- */

void check_no_localhost_profile(struct check *c, const struct at *at)
{
        if (at_set(at))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at->up),
                                     "can only be set when seccomp type is Localhost");
}

void check_escalation(struct check *c, const struct at *at)
{
        const struct json *allowed = json_get(at->j, "allowPrivilegeEscalation");

        if (!json_is_bool(allowed) || allowed->boolean)
                return;
        if (json_get_bool(at->j, "privileged", false))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at),
                                     "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        json_foreach_item(json_path(at->j, "capabilities.add"), k)
                if (streq(json_string(k), "CAP_SYS_ADMIN"))
                        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), go_struct(c, at),
                                             "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

void check_share_process_namespace(struct check *c, const struct at *at)
{
        const struct at *share = at_field(c, at->up, "shareProcessNamespace");

        if (json_is_true(share->j) && json_get_bool(at->up->j, "hostPID", false))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.shareProcessNamespace", at_path(c, at)),
                                share->j, "ShareProcessNamespace and HostPID cannot both be enabled");
}

/* Slashes part names as dots do. */
void check_sysctl_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        bool fine = strlen(s) <= 253, start = true;

        for (const char *p = s; *p; p++) {
                bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
                bool separator = *p == '.' || *p == '/';

                if (!alnum && (start || (!separator && *p != '-' && *p != '_')))
                        fine = false;
                if ((separator || !p[1]) && p > s && (separator ? p[-1] == '-' || p[-1] == '_' : !alnum))
                        fine = false;
                start = separator;
        }
        if (!fine)
                check_invalid(c, at, "must have at most 253 characters and match regex "
                                     "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
}

bool cond_sysctl_of_ipc(struct check *c, const struct at *at)
{
        static const char *const prefixes[] = { "kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue.", "kernel/sem", "kernel/shm",
                                                "kernel/msg", "fs/mqueue/" };

        unused(c);
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                if (str_has_prefix(text_at(at), prefixes[i]))
                        return true;
        return false;
}

/* --- Windows --- */

static bool windows_domain(const char *s, size_t n)
{
        const char *label = s, *end = s + n;

        /* A NetBIOS name: up to 15 characters, none of these, no dot first. */
        if (n <= 15 && n && *s != '.' && strcspn(s, "\\/:*?\"<>|") >= n)
                return true;
        /* Or labels of a domain. */
        for (const char *p = s;; p++) {
                if (p < end && (isalnum((unsigned char)*p) || *p == '-') && !(*p == '-' && p == label))
                        continue;
                if (p == label || p - label > 63 || p[-1] == '-' || (p < end && *p != '.'))
                        return false;
                if (p == end)
                        return true;
                label = p + 1;
        }
}

/* DOMAIN\user, where the domain may be left out. */
void check_windows_user(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '\\'), *user = slash ? slash + 1 : s;
        size_t domain = slash ? (size_t)(slash - s) : 0;

        if (!*s) {
                check_invalid(c, at, "runAsUserName cannot be an empty string");
                return;
        }
        for (const char *p = s; *p; p++)
                if (iscntrl((unsigned char)*p)) {
                        check_invalid(c, at, "runAsUserName cannot contain control characters");
                        return;
                }
        if (slash && strchr(user, '\\')) {
                check_invalid(c, at, "runAsUserName cannot contain more than one backslash");
                return;
        }
        if (slash && domain >= 256)
                check_invalid(c, at, "runAsUserName's Domain length must be under 256 characters");
        if (slash && !windows_domain(s, domain))
                check_invalid(c, at, "runAsUserName's Domain doesn't match the NetBios nor the DNS format");
        if (!*user)
                check_invalid(c, at, "runAsUserName's User cannot be empty");
        else if (strlen(user) > 104)
                check_invalid(c, at, "runAsUserName's User length must not be longer than 104 characters");
        if (*user && !user[strspn(user, ". ")])
                check_invalid(c, at, "runAsUserName's User cannot contain only periods or spaces");
        if (strpbrk(user, "\"/\\:;|=,+*?<>@[]"))
                check_invalid(c, at, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
}

static const struct json *host_process(const struct json *holder)
{
        return json_path(holder, "securityContext.windowsOptions.hostProcess");
}

/* Either all containers are processes of the host, or none. */
void check_host_process(struct check *c, const struct at *spec)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
        const struct json *of_pod = host_process(spec->j);
        const struct at *network = at_field(c, spec, "hostNetwork");
        unsigned all = 0, n = 0;

        for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
                const struct at *list = at_field(c, spec, lists[l]);

                for (size_t i = 0; i < json_len(list->j); i++) {
                        const struct at *k = at_item(c, list, i);
                        const struct json *own = host_process(k->j);

                        all++;
                        n += json_is_true(own ? own : of_pod);
                        if (own && of_pod && json_is_true(own) != json_is_true(of_pod))
                                check_invalid(c, at_field(c, k, "securityContext.windowsOptions.hostProcess"),
                                              "pod hostProcess value must be identical if both are specified, was %s",
                                              json_is_true(of_pod) ? "true" : "false");
                }
        }
        if (!n)
                return;
        if (n != all)
                source_error(c, spec, "If pod contains any hostProcess containers then all containers must be HostProcess containers");
        if (!json_is_true(network->j))
                check_invalid(c, network, "hostNetwork must be true if pod contains any hostProcess containers");
}
