/* Values in errors as Go prints them. Upstream's checks see internal structs, which have no names for JSON: what is
 * {"type":"x"} for clients is {"Type":"x","RollingUpdate":null} in an error, with every field, in the order of declaration.
 * Types of apimachinery (selectors, times, quantities) print as they travel. */
#include "../schema/go-order.h"
#include "rules.h"

#include <ctype.h>

/* SENT: what the client sent there, which tells empty lists and maps from none; NULL: nothing is known. */
static void print_go(struct strbuf *b, const struct schema *s, const struct json *j, const struct json *sent, bool pointer);

/* What is called otherwise inside, in types whose names begin so; "": it is not there at all. */
static const struct {
        const char *type, *name, *go;
} renamed_in[] = {
        { "ContainerStatus", "lastState", "LastTerminationState" },
        { "DeviceAttribute", "bool", "BoolValue" },
        { "DeviceAttribute", "bools", "BoolValues" },
        { "DeviceAttribute", "int", "IntValue" },
        { "DeviceAttribute", "ints", "IntValues" },
        { "DeviceAttribute", "string", "StringValue" },
        { "DeviceAttribute", "strings", "StringValues" },
        { "DeviceAttribute", "version", "VersionValue" },
        { "DeviceAttribute", "versions", "VersionValues" },
        { "Event", "reportingComponent", "ReportingController" },
        { "Glusterfs", "endpoints", "EndpointsName" },
        { "ISCSI", "iqn", "IQN" },
        { "LinuxContainerUser", "gid", "GID" },
        { "Mutation", "jsonPatch", "JSONPatch" },
        { "NodeSpec", "externalID", "DoNotUseExternalID" },
        { "NodeSpec", "podCIDR", "" },
        { "PhotonPersistentDisk", "pdID", "PdID" },
        { "PodStatus", "podIP", "" },
        { "RBD", "image", "RBDImage" },
        { "RBD", "monitors", "CephMonitors" },
        { "RBD", "pool", "RBDPool" },
        { "RBD", "user", "RadosUser" },
        { "Secret", "stringData", "" },
};

static const char *renamed_field(const struct schema *s, const char *name)
{
        const char *dot = s->name ? strrchr(s->name, '.') : NULL;

        for (size_t i = 0; dot && i < ARRAY_SIZE(renamed_in); i++)
                if (streq(name, renamed_in[i].name) && str_has_prefix(dot + 1, renamed_in[i].type))
                        return renamed_in[i].go;
        return NULL;
}

/* "apiGroup" is APIGroup in Go, "tls" is TLS, "type" is Type. */
static void print_name(struct strbuf *b, const struct schema *s, const char *name)
{
        const char *other = renamed_field(s, name);

        static const char *const acronyms[] = { "api", "aws", "ca", "cel", "cidr", "csi", "dns", "fc", "fs", "gce", "gmsa", "grpc", "http", "id", "ip", "iscsi", "nfs",
                                                "os", "pd", "qos", "rbd", "se", "ssl", "tcp", "tls", "ttl", "tty", "uid", "url" };
        /* Some have another name inside. */
        static const char *const renamed[][2] = {
                { "cephfs", "CephFS" }, { "chapAuthDiscovery", "DiscoveryCHAPAuth" }, { "chapAuthSession", "SessionCHAPAuth" },
                { "diskURI", "DataDiskURI" }, { "storageos", "StorageOS" }, { "wwids", "WWIDs" },
        };
        size_t upper = 1;

        for (size_t i = 0; !other && i < ARRAY_SIZE(renamed); i++)
                if (streq(name, renamed[i][0]))
                        other = renamed[i][1];
        if (other) {
                strbuf_printf(b, "\"%s\":", other);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(acronyms); i++) {
                size_t n = strlen(acronyms[i]);

                if (str_has_prefix(name, acronyms[i]) && (!islower((unsigned char)name[n]) || streq(name + n, "s")))
                        upper = n;
        }
        strbuf_putc(b, '"');
        for (size_t i = 0; name[i]; i++)
                strbuf_putc(b, i < upper ? (char)toupper((unsigned char)name[i]) : name[i]);
        strbuf_puts(b, "\":");
}

/* An ObjectMeta stands embedded: its own fields among the others, as they travel. */
static bool print_metadata(struct strbuf *b, const struct json *j, bool first)
{
        json_foreach_member(j, m) {
                strbuf_printf(b, "%s\"%s\":", first ? "" : ",", m->key);
                json_write(b, m->value);
                first = false;
        }
        return first;
}

static bool is_object_meta(const struct schema *s)
{
        return s->name && str_has_suffix(s->name, ".ObjectMeta");
}

/* Inside, the spec of a pod has another order than for clients, and its switches of the node stand elsewhere. */
static const char *const pod_spec[] = {
        "volumes", "initContainers", "containers", "ephemeralContainers", "restartPolicy", "terminationGracePeriodSeconds",
        "activeDeadlineSeconds", "dnsPolicy", "nodeSelector", "serviceAccountName", "automountServiceAccountToken", "nodeName",
        "securityContext", "imagePullSecrets", "hostname", "subdomain", "setHostnameAsFQDN", "affinity", "schedulerName",
        "tolerations", "hostAliases", "priorityClassName", "priority", "preemptionPolicy", "dnsConfig", "readinessGates",
        "runtimeClassName", "overhead", "enableServiceLinks", "topologySpreadConstraints", "os", "schedulingGates",
        "resourceClaims", "resources", "hostnameOverride", "schedulingGroup", NULL,
};
static const char *const node_switches[] = { "hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers", NULL };
static const char *const security_context[] = {
        "seLinuxOptions", "windowsOptions", "runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups",
        "supplementalGroupsPolicy", "fsGroup", "fsGroupChangePolicy", "sysctls", "seccompProfile", "appArmorProfile",
        "seLinuxChangePolicy", NULL,
};

static const char *const volume_sources[] = {
        "gcePersistentDisk", "awsElasticBlockStore", "hostPath", "glusterfs", "nfs", "rbd", "quobyte", "iscsi", "flexVolume", "cinder",
        "cephfs", "fc", "flocker", "azureFile", "vsphereVolume", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO",
        "local", "storageos", "csi", NULL,
};
static const char *const volume[] = {
        "name", "hostPath", "emptyDir", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "secret", "nfs", "iscsi", "glusterfs",
        "persistentVolumeClaim", "rbd", "quobyte", "flexVolume", "cinder", "cephfs", "flocker", "downwardAPI", "fc", "azureFile",
        "configMap", "vsphereVolume", "azureDisk", "photonPersistentDisk", "projected", "portworxVolume", "scaleIO", "storageos", "csi",
        "ephemeral", "image", NULL,
};
static const char *const service_spec[] = {
        "type", "ports", "selector", "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "externalName", "externalIPs",
        "loadBalancerIP", "sessionAffinity", "sessionAffinityConfig", "loadBalancerSourceRanges", "externalTrafficPolicy",
        "healthCheckNodePort", "publishNotReadyAddresses", "allocateLoadBalancerNodePorts", "loadBalancerClass",
        "internalTrafficPolicy", "trafficDistribution", NULL,
};
static const char *const job_spec[] = {
        "parallelism", "completions", "podFailurePolicy", "successPolicy", "activeDeadlineSeconds", "backoffLimit",
        "backoffLimitPerIndex", "maxFailedIndexes", "selector", "manualSelector", "template", "ttlSecondsAfterFinished",
        "completionMode", "suspend", "podReplacementPolicy", "managedBy", NULL,
};

/* Types whose fields stand in another order inside. */
static const struct {
        const char *type;
        const char *const *fields;
} reordered[] = {
        { "io.k8s.api.core.v1.PodSpec", pod_spec },
        { "io.k8s.api.core.v1.Volume", volume },
        { "io.k8s.api.core.v1.ServiceSpec", service_spec },
        { "io.k8s.api.batch.v1.JobSpec", job_spec },
};

static const char *const *inner_order(const struct schema *s)
{
        for (size_t i = 0; s->name && i < ARRAY_SIZE(reordered); i++)
                if (streq(s->name, reordered[i].type))
                        return reordered[i].fields;
        return NULL;
}

/* Fields NAMES of J; a security context begins with the switches of its pod. */
static void print_named(struct strbuf *b, const struct schema *s, const struct json *j, const struct json *sent,
                        const char *const *names, const char *comma)
{
        for (size_t i = 0; names[i]; i++, comma = ",") {
                const struct schema_field *f = schema_field(s, names[i]);
                const struct json *v = json_get(j, names[i]);

                if (!f)
                        continue;
                strbuf_puts(b, comma);
                print_name(b, s, names[i]);
                if (names == pod_spec && streq(names[i], "securityContext")) {
                        strbuf_putc(b, '{');
                        print_named(b, s, j, sent, node_switches, "");
                        print_named(b, f->type, v, json_get(sent, names[i]), security_context, ",");
                        strbuf_putc(b, '}');
                } else {
                        print_go(b, f->type, v, json_get(sent, names[i]), f->presence);
                }
        }
}

static void print_struct(struct strbuf *b, const struct schema *s, const struct json *j, const struct json *sent)
{
        const char *const *names = inner_order(s);
        bool first = true;

        if (names) {
                strbuf_putc(b, '{');
                print_named(b, s, j, sent, names, "");
                strbuf_putc(b, '}');
                return;
        }
        strbuf_putc(b, '{');
        for (unsigned order = 0; order < s->n_fields; order++)
                for (unsigned i = 0; i < s->n_fields; i++) {
                        const struct schema_field *f = &s->fields[i];

                        if (f->order != order)
                                continue;
                        if (is_object_meta(f->type)) {
                                first = print_metadata(b, json_get(j, f->name), first);
                                continue;
                        }
                        if (!f->proto && !json_get(j, f->name))
                                continue; /* kind and apiVersion are empty inside */
                        if (renamed_field(s, f->name) && !*renamed_field(s, f->name))
                                continue;
                        strbuf_puts(b, first ? "" : ",");
                        first = false;
                        print_name(b, s, f->name);
                        print_go(b, f->type, json_get(j, f->name), json_get(sent, f->name), f->presence);
                }
        strbuf_putc(b, '}');
}

static int by_key(const void *x, const void *y)
{
        return strcmp((*(const struct json_member *const *)x)->key, (*(const struct json_member *const *)y)->key);
}

static void print_map(struct strbuf *b, const struct schema *s, const struct json *map, const struct json *sent)
{
        const struct json_member **sorted = xmalloc((map->len + 1) * sizeof(*sorted));
        size_t n = 0;

        json_foreach_member(map, m)
                sorted[n++] = m;
        if (n)
                qsort(sorted, n, sizeof(*sorted), by_key);
        strbuf_putc(b, '{');
        for (size_t i = 0; i < n; i++) {
                strbuf_puts(b, i ? "," : "");
                go_quote(b, sorted[i]->key, sorted[i]->key_len);
                strbuf_putc(b, ':');
                print_go(b, s->elem, sorted[i]->value, json_get(sent, sorted[i]->key), false);
        }
        strbuf_putc(b, '}');
        free(sorted);
}

static void print_list(struct strbuf *b, const struct schema *s, const struct json *list, const struct json *sent)
{
        strbuf_putc(b, '[');
        json_foreach_item(list, item) {
                strbuf_puts(b, item_i ? "," : "");
                print_go(b, s->elem, item, json_at(sent, item_i), false);
        }
        strbuf_putc(b, ']');
}

/* What Go has where nothing was said. */
static const char *zero_of(const struct schema *s)
{
        switch (s->type) {
        case SCHEMA_STRING:
                return "\"\"";
        case SCHEMA_BOOLEAN:
                return "false";
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_DOUBLE:
        case SCHEMA_INT_OR_STRING:
                return "0";
        case SCHEMA_QUANTITY:
                return "\"0\"";
        default:
                return "null";
        }
}

/* It travels as it is printed. */
static bool is_versioned(const struct schema *s)
{
        return s->name && str_has_prefix(s->name, "io.k8s.apimachinery");
}

static void print_go(struct strbuf *b, const struct schema *s, const struct json *j, const struct json *sent, bool pointer)
{
        bool there = j && !json_is_null(j);

        if (s && s->type == SCHEMA_STRUCT && !is_versioned(s) && (there || !pointer))
                print_struct(b, s, j, sent);
        else if (s && s->type == SCHEMA_STRUCT && !there && !pointer)
                strbuf_puts(b, "{}");
        else if (!there && s && s->type == SCHEMA_ARRAY && json_is_array(sent) && !sent->len)
                strbuf_puts(b, "[]");
        else if (!there && s && s->type == SCHEMA_MAP && json_is_object(sent) && !sent->len)
                strbuf_puts(b, "{}");
        else if (!there)
                strbuf_puts(b, pointer || !s ? "null" : zero_of(s));
        else if (s && s->type == SCHEMA_ARRAY && json_is_array(j))
                print_list(b, s, j, sent);
        else if (s && s->type == SCHEMA_MAP && json_is_object(j))
                print_map(b, s, j, sent);
        else
                json_write(b, j);
}

static const char *print(struct check *c, const struct schema *s, const struct json *j, const struct json *sent)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        print_go(&b, s, s && j ? go_order(c->a, s, j) : j, sent, j && json_is_null(j));
        return arena_strndup(c->a, strbuf_str(&b), b.len);
}

const char *go_volume_source(struct check *c, const struct schema *s, const struct json *spec, const struct json *sent)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_putc(&b, '{');
        print_named(&b, s, spec, sent, volume_sources, "");
        strbuf_putc(&b, '}');
        return arena_strndup(c->a, strbuf_str(&b), b.len);
}

const char *go_struct(struct check *c, const struct at *at)
{
        return print(c, at->s, at->j, at_sent(c, at));
}

const char *go_value(struct check *c, const struct schema *s, const struct json *j)
{
        return print(c, s, j, NULL);
}

const char *go_value_sent(struct check *c, const struct schema *s, const struct json *j, const struct json *sent)
{
        return print(c, s, j, sent);
}

/* Whether Go prints AT otherwise than JSON does. */
bool go_differs(const struct at *at)
{
        const struct schema *s = at->s;

        while (s && (s->type == SCHEMA_ARRAY || s->type == SCHEMA_MAP))
                s = s->elem;
        return s && s->type == SCHEMA_STRUCT && !is_versioned(s) && (json_is_object(at->j) || json_is_array(at->j));
}
