/* Annotations of pods that once were fields' beginnings, and still must be well-formed. */
#include <ctype.h>
#include <stdlib.h>

#include "functions.h"
#include "metadata.h"

#define MIRROR "kubernetes.io/config.mirror"
#define TOLERATIONS "scheduler.alpha.kubernetes.io/tolerations"
#define DELETION_COST "controller.kubernetes.io/pod-deletion-cost"
#define SECCOMP "seccomp.security.alpha.kubernetes.io/pod"
#define SECCOMP_CONTAINER "container.seccomp.security.alpha.kubernetes.io/"
#define APPARMOR "container.apparmor.security.beta.kubernetes.io/"

static const char *text_of(const struct json *annotations, const char *key)
{
        return json_get_string(annotations, key);
}

static void invalid_entry(struct check *c, const struct at *annotations, const char *key, const char *shown, const char *detail)
{
        field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s[%s]", at_path(c, annotations), key),
                        json_new_string(c->a, shown), "%s", detail);
}

/* KEY as a child of the annotations, with a value of another type than theirs. */
static const struct at *child(struct check *c, const struct at *annotations, const char *key, const struct json *j,
                              const struct schema *s)
{
        struct at *f = arena_calloc(c->a, sizeof(*f));

        f->up = annotations;
        f->kind = AT_FIELD;
        f->name = arena_strdup(c->a, key);
        f->j = j;
        f->s = s;
        return f;
}

static void check_tolerations(struct check *c, const struct at *annotations, const struct at *spec, const char *text)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        const struct at *list, *field = at_field(c, spec, "tolerations");
        struct json *parsed;

        if (json_parse(c->a, text, strlen(text), NULL, &parsed, &err) < 0) {
                field_error_add(c->errs, FIELD_INVALID, at_path(c, annotations), json_new_string(c->a, TOLERATIONS), "%s",
                                error_text(&err));
                return;
        }
        list = child(c, annotations, TOLERATIONS, parsed, field->s);
        for (size_t i = 0; i < json_len(json_is_array(parsed) ? parsed : NULL); i++)
                rules_use(c, "Toleration", at_item(c, list, i));
}

/* "-5", "0", "12": no plus sign, no zeros in front, 32 bits. */
static bool is_cost(const char *s)
{
        char *end;
        long v;

        if (*s != '-' && !(*s >= '1' && *s <= '9') && !streq(s, "0"))
                return false;
        v = strtol(s, &end, 10);
        return !*end && end > s && isdigit((unsigned char)end[-1]) && v >= INT32_MIN && v <= INT32_MAX;
}

static void check_seccomp(struct check *c, const struct at *annotations, const char *key, const char *profile)
{
        const struct at *at = child(c, annotations, key, json_new_string(c->a, profile), NULL);
        struct at *path;

        if (streq(profile, "runtime/default") || streq(profile, "docker/default") || streq(profile, "unconfined"))
                return;
        if (!str_has_prefix(profile, "localhost/")) {
                check_invalid(c, at, "must be a valid seccomp profile");
                return;
        }
        path = arena_memdup(c->a, at, sizeof(*path));
        path->j = json_new_string(c->a, profile + strlen("localhost/"));
        check_local_path(c, path);
}

static bool has_container(const struct json *spec, const char *name)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(spec, lists[i]), k)
                        if (streq(json_get_string(k, "name"), name))
                                return true;
        return false;
}

static void check_apparmor(struct check *c, const struct at *annotations, const struct json *spec, const char *key, const char *profile)
{
        const char *container = key + strlen(APPARMOR);
        _cleanup_strbuf_ struct strbuf detail = STRBUF_INIT;

        if (!has_container(spec, container))
                invalid_entry(c, annotations, key, container, "container not found");
        if (!*profile || streq(profile, "runtime/default") || streq(profile, "unconfined") || str_has_prefix(profile, "localhost/"))
                return;
        strbuf_puts(&detail, "invalid AppArmor profile name: ");
        go_quote(&detail, profile, strlen(profile));
        invalid_entry(c, annotations, key, profile, strbuf_str(&detail));
}

void check_annotations_of_pod(struct check *c, const struct at *at, const struct at *spec)
{
        const char *mirror = text_of(at->j, MIRROR), *tolerations = text_of(at->j, TOLERATIONS);
        const char *cost = text_of(at->j, DELETION_COST), *seccomp = text_of(at->j, SECCOMP);

        if (mirror && str_empty(json_get_string(spec->j, "nodeName")))
                invalid_entry(c, at, MIRROR, mirror, "must set spec.nodeName if mirror pod annotation is set");
        if (!str_empty(tolerations))
                check_tolerations(c, at, spec, tolerations);
        if (cost && !is_cost(cost))
                invalid_entry(c, at, DELETION_COST, cost, "must be a 32bit integer");
        if (seccomp)
                check_seccomp(c, at, SECCOMP, seccomp);
        json_foreach_member(at->j, m)
                if (str_has_prefix(m->key, SECCOMP_CONTAINER))
                        check_seccomp(c, at, m->key, json_string(m->value) ?: "");
        json_foreach_member(at->j, m)
                if (str_has_prefix(m->key, APPARMOR))
                        check_apparmor(c, at, spec->j, m->key, json_string(m->value) ?: "");
}

void check_pod_annotations(struct check *c, const struct at *at)
{
        check_annotations_of_pod(c, at, at_field(c, c->root, "spec"));
}

static void forbid_entry(struct check *c, const struct at *at, const char *key, const char *detail)
{
        field_error_add(c->errs, FIELD_FORBIDDEN, arena_printf(c->a, "%s[%s]", at_path(c, at), key), NULL, "%s", detail);
}

/* Some say what a pod is from its first day. */
void check_annotation_updates(struct check *c, const struct at *at)
{
        json_foreach_member(at->old, m) {
                if (json_equal(m->value, json_getn(at->j, m->key, m->key_len)))
                        continue;
                if (str_has_prefix(m->key, APPARMOR))
                        forbid_entry(c, at, m->key, "may not remove or update AppArmor annotations");
                if (streq(m->key, MIRROR))
                        forbid_entry(c, at, m->key, "may not remove or update mirror pod annotation");
        }
        json_foreach_member(at->j, m) {
                if (json_getn(at->old, m->key, m->key_len))
                        continue;
                if (str_has_prefix(m->key, APPARMOR))
                        forbid_entry(c, at, m->key, "may not add AppArmor annotations");
                if (streq(m->key, MIRROR))
                        forbid_entry(c, at, m->key, "may not add mirror pod annotation");
        }
        check_pod_annotations(c, at);
}

/* One of the two profiles that annotations had first: what they say of it, its field must not deny. */
struct profile {
        const char *word, *field, *prefix; /* prefix: of a container's annotation */
        bool docker;                       /* "docker/default" is the default of the runtime, too */
};
static const struct profile seccomp = { "seccomp", "securityContext.seccompProfile", SECCOMP_CONTAINER, true };
static const struct profile apparmor = { "apparmor", "securityContext.appArmorProfile", APPARMOR, false };

/* VALUE holds at the place AT, where a container may have it from its pod. */
static void check_agrees(struct check *c, const struct profile *p, const struct at *at, const struct json *value, const char *said)
{
        const char *type = json_get_string(value, "type"), *local = json_get_string(value, "localhostProfile");
        bool agrees = true;

        if (!said || !json_is_object(value))
                return;
        if (streq(type, "Unconfined"))
                agrees = streq(said, "unconfined");
        else if (streq(type, "RuntimeDefault"))
                agrees = streq(said, "runtime/default") || (p->docker && streq(said, "docker/default"));
        else if (streq(type, "Localhost"))
                agrees = str_has_prefix(said, "localhost/");
        if (!agrees)
                check_forbidden(c, at_field(c, at, "type"), "%s type in annotation and field must match", p->word);
        else if (streq(type, "Localhost") && !streq(local, said + strlen("localhost/")))
                check_forbidden(c, at_field(c, at, "localhostProfile"), "%s profile in annotation and field must match", p->word);
}

static void check_containers_agree(struct check *c, const struct profile *p, const struct at *spec, const struct json *of_pod,
                                   const struct json *annotations)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };

        for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
                const struct at *list = at_field(c, spec, lists[l]);

                for (size_t i = 0; i < json_len(list->j); i++) {
                        const struct at *k = at_item(c, list, i), *own = at_field(c, k, p->field);

                        check_agrees(c, p, own, json_is_object(own->j) ? own->j : of_pod,
                                     text_of(annotations, arena_printf(c->a, "%s%s", p->prefix, text_at(at_field(c, k, "name")))));
                }
        }
}

/* AT is a pod or a template: what annotations say of profiles, fields must not deny. */
void check_profiles_agree(struct check *c, const struct at *at)
{
        const struct json *annotations = json_path(at->j, "metadata.annotations");
        bool of_seccomp = false, of_apparmor = false;
        const struct at *spec, *own;

        json_foreach_member(annotations, m) {
                of_seccomp |= streq(m->key, SECCOMP) || str_has_prefix(m->key, SECCOMP_CONTAINER);
                of_apparmor |= str_has_prefix(m->key, APPARMOR);
        }
        if (!of_seccomp && !of_apparmor)
                return;
        spec = at_field(c, at, "spec");
        if (of_seccomp) {
                own = at_field(c, spec, seccomp.field);
                check_agrees(c, &seccomp, own, own->j, text_of(annotations, SECCOMP));
                check_containers_agree(c, &seccomp, spec, NULL, annotations);
        }
        if (of_apparmor && !streq(json_path_string(spec->j, "os.name"), "windows"))
                check_containers_agree(c, &apparmor, spec, json_path(spec->j, apparmor.field), annotations);
}

void check_no_static_claims(struct check *c, const struct at *at)
{
        unused(at);
        if (streq(c->res->kind, "Pod") && text_of(json_path(c->obj, "metadata.annotations"), MIRROR))
                field_error_add(c->errs, FIELD_FORBIDDEN, "", NULL, "static pods do not support resource claims");
}
