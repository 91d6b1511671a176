/* Conversion webhooks of CustomResourceDefinitions.
 *
 * Objects are converted to the storage version before they are written. Who reads them in another one asks first:
 * registry_converted(), on a fiber, calls the webhook once for all objects at hand and remembers what it made of them,
 * by definition, uid and resourceVersion; convert_object() finds it there, also later, as neither can change.
 */
#include "../../lib/base/list.h"
#include "../admission/webhook-call.h"
#include "../schema/crd.h"
#include "conversion.h"
#include "internal.h"

enum { BUCKETS = 4096, BYTES_MAX = 64 << 20 };

static struct converted {
        struct converted *next; /* of the bucket */
        struct list age;
        size_t bucket, len;
        char *key, *text;
} *memory[BUCKETS];
static struct list ages = LIST_INIT(ages); /* the oldest first */
static size_t bytes;

static const struct json *webhook_of(const struct resource *res)
{
        const struct json *conversion;

        if (!res->crd)
                return NULL;
        conversion = json_path(res->crd->crd->definition, "spec.conversion");
        return streq(json_get_string(conversion, "strategy"), "Webhook") ? json_get(conversion, "webhook") : NULL;
}

static const char *wanted_version(struct arena *a, const struct resource *to)
{
        return arena_printf(a, "%s/%s", to->group, to->version);
}

static const char *key_of(struct arena *a, const struct resource *to, const struct json *obj)
{
        const char *revision = meta_string(obj, "resourceVersion");

        if (!*revision)
                return NULL;
        return arena_printf(a, "%s/%s/%s/%s/%s", to->crd->crd->uid, to->version, json_get_string(obj, "apiVersion"),
                            meta_string(obj, "uid"), revision);
}

static size_t bucket_of(const char *key)
{
        uint64_t hash = 14695981039346656037u;

        for (const char *c = key; *c; c++)
                hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        return hash % BUCKETS;
}

static struct converted *recall(const char *key)
{
        struct converted *c = memory[bucket_of(key)];

        while (c && !streq(c->key, key))
                c = c->next;
        return c;
}

static void forget(struct converted *c)
{
        struct converted **at = &memory[c->bucket];

        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
        list_remove(&c->age);
        bytes -= c->len;
        free(c->key);
        free(c->text);
        free(c);
}

static void remember(struct arena *a, const char *key, const struct json *obj)
{
        struct converted *c = recall(key);

        if (c)
                return; /* somebody else asked meanwhile */
        c = new0(struct converted);
        c->text = xstrdup(json_print(a, obj));
        c->key = xstrdup(key);
        c->len = strlen(c->text);
        c->bucket = bucket_of(key);
        c->next = memory[c->bucket];
        memory[c->bucket] = c;
        list_push_back(&ages, &c->age);
        bytes += c->len;
        while (bytes > BYTES_MAX && ages.next != &c->age)
                forget(list_entry(ages.next, struct converted, age));
}

struct json *conversion_find(struct arena *a, const struct resource *to, const struct json *obj)
{
        const char *key = webhook_of(to) && !streq(json_get_string(obj, "apiVersion"), wanted_version(a, to)) ?
                                  key_of(a, to, obj) : NULL;
        const struct converted *c = key ? recall(key) : NULL;
        struct json *out = NULL;

        if (!c || json_parse_written(a, c->text, c->len, &out) < 0)
                return NULL;
        return out;
}

/* --- the call --- */

static const char *kind_text(struct arena *a, const struct json *obj)
{
        const char *version = json_get_string(obj, "apiVersion"), *kind = json_get_string(obj, "kind");

        return arena_printf(a, "%s, Kind=%s", version ? version : "", kind ? kind : "");
}

/* Upstream restores all metadata but labels and annotations. The text follows "returned invalid metadata: ". */
static const char *restore_metadata(struct arena *a, const struct json *original, struct json *converted)
{
        static const char *const fields[] = { "labels", "annotations" };
        const struct json *answered = json_get(converted, "metadata");
        struct json *meta;

        if (!answered)
                return "missing metadata in converted object";
        if (!json_is_object(answered))
                return arena_printf(a, "invalid metadata of type %s in converted object", crd_go_type(answered));
        meta = json_clone(a, json_get(original, "metadata"));
        if (!meta)
                meta = json_new_object(a);
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const struct json *v = json_get(answered, fields[i]);

                if (!v || json_is_null(v)) {
                        json_del(meta, fields[i]);
                        continue;
                }
                if (!json_is_object(v))
                        return arena_printf(a, "invalid metadata.%s of type %s in converted object", fields[i], crd_go_type(v));
                json_foreach_member(v, m)
                        if (!json_is_string(m->value))
                                return arena_printf(a, "metadata.%s[%s] must be a string, but is %s in converted object",
                                                    fields[i], m->key, crd_go_type(m->value));
                json_set(a, meta, fields[i], json_clone(a, v));
        }
        json_set(a, converted, "metadata", meta);
        return NULL;
}

static const char *differs(struct arena *a, const struct json *in, const struct json *out)
{
        static const struct {
                const char *field, *name;
        } same[] = { { "name", "name" }, { "namespace", "namespace" }, { "uid", "UID" } };

        for (size_t i = 0; i < ARRAY_SIZE(same); i++)
                if (!streq(meta_string(in, same[i].field), meta_string(out, same[i].field)))
                        return arena_printf(a, "must have the same %s: %s != %s", same[i].name,
                                            meta_string(in, same[i].field), meta_string(out, same[i].field));
        return NULL;
}

/* What is wrong with OUT, what IN became; *METADATA: with its metadata alone. */
static const char *examine(struct arena *a, const struct resource *to, const struct json *in, struct json *out, bool *metadata)
{
        const char *version = json_get_string(out, "apiVersion"), *kind = json_get_string(out, "kind"), *trouble;

        *metadata = false;
        if (!json_is_object(out) || str_empty(kind))
                return "Object 'Kind' is missing";
        if (!streq(version, wanted_version(a, to)))
                return arena_printf(a, "invalid groupVersion (expected %s, received %s)", wanted_version(a, to),
                                    version ? version : "");
        if (!streq(kind, json_get_string(in, "kind")))
                return arena_printf(a, "invalid kind (expected %s, received %s)", json_get_string(in, "kind"), kind);
        trouble = differs(a, in, out);
        if (trouble)
                return trouble;
        *metadata = true;
        return restore_metadata(a, in, out);
}

static const char *read_answer(struct arena *a, const struct json *answer, const char *uid, bool v1, const struct json **ret)
{
        const struct json *response = json_get(answer, "response");
        const char *status = json_path_string(response, "result.status"), *message;
        const char *version = json_get_string(answer, "apiVersion"), *kind = json_get_string(answer, "kind");

        if (v1 && (!streq(version, "apiextensions.k8s.io/v1") || !streq(kind, "ConversionReview")))
                return arena_printf(a, "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got %s",
                                    kind_text(a, answer));
        if (!json_is_object(response))
                return "no response provided";
        if (v1 && !streq(json_get_string(response, "uid"), uid))
                return arena_printf(a, "expected response.uid=\"%s\", got \"%s\"", uid,
                                    json_get_string(response, "uid") ? json_get_string(response, "uid") : "");
        if (!streq(status, "Success")) {
                message = json_path_string(response, "result.message");
                if (!str_empty(message))
                        return message;
                return arena_printf(a, "response.result.status was '%s', not 'Success'", status ? status : "");
        }
        *ret = json_get(response, "convertedObjects");
        return NULL;
}

/* "v1" or "v1beta1", whichever comes first. */
static const char *review_version(const struct json *webhook)
{
        json_foreach_item(json_get(webhook, "conversionReviewVersions"), v)
                if (json_is_string(v) && (streq(json_string(v), "v1") || streq(json_string(v), "v1beta1")))
                        return json_string(v);
        return NULL;
}

static const char *call(struct api_request *r, const struct resource *to, const struct json *webhook,
                        struct json *const *objs, size_t n, const struct json **ret)
{
        struct arena *a = r->arena;
        struct admission_attributes at = { .request = r };
        struct json *review = json_new_object(a), *request, *items, *hook = json_new_object(a), *answer = NULL;
        const char *version = review_version(webhook), *trouble;
        char uid[UUID_BUF];

        json_set_string(a, review, "kind", "ConversionReview");
        json_set_string(a, review, "apiVersion", arena_printf(a, "apiextensions.k8s.io/%s", version));
        request = json_ensure_object(a, review, "request");
        json_set_string(a, request, "uid", arena_strdup(a, uuid_new(uid)));
        json_set_string(a, request, "desiredAPIVersion", wanted_version(a, to));
        items = json_ensure_array(a, request, "objects");
        for (size_t i = 0; i < n; i++)
                json_append(a, items, objs[i]);
        json_set(a, hook, "clientConfig", json_clone(a, json_get(webhook, "clientConfig")));
        json_set_int(a, hook, "timeoutSeconds", 30);
        trouble = webhook_call(&at, hook, review, &answer);
        if (trouble)
                return str_has_prefix(trouble, "failed to call webhook: ") ? strchr(trouble, ':') + 2 : trouble;
        return read_answer(a, answer, uid, streq(version, "v1"), ret);
}

const struct status *conversion_of(struct api_request *r, const struct resource *to, struct json **objs, size_t n)
{
        struct arena *a = r->arena;
        const struct json *webhook = webhook_of(to), *made = NULL;
        const char *trouble;
        size_t i = 0;

        if (!webhook || !n)
                return NULL;
        if (!review_version(webhook))
                return status_make(a, 500, "", NULL, "no supported conversion review versions");
        trouble = call(r, to, webhook, objs, n, &made);
        if (trouble)
                return status_make(a, 500, "", NULL, "conversion webhook for %s failed: %s", kind_text(a, objs[0]), trouble);
        if (json_len(made) != n)
                return status_make(a, 500, "", NULL, "conversion webhook for %s returned %zu objects, expected %zu",
                                   kind_text(a, objs[0]), json_len(made), n);
        json_foreach_item(made, v) {
                struct json *out = json_clone(a, v);
                bool metadata;

                trouble = examine(a, to, objs[i], out, &metadata);
                if (trouble)
                        return status_make(a, 500, "", NULL, "conversion webhook for %s returned invalid %s: %s",
                                           kind_text(a, objs[i]), metadata ? "metadata" : str_has_prefix(trouble, "invalid ") ?
                                           "object at index 0" : "object", trouble);
                objs[i++] = out;
        }
        return NULL;
}

static const struct resource *storage_version(const struct resource *res)
{
        return res->crd && res->crd->crd->stored && res->crd->crd->stored != res ? res->crd->crd->stored : NULL;
}

/* Without a webhook only apiVersion differs, and what the version does not know. */
const struct status *conversion_to_storage(struct api_request *r, const struct resource *res, struct json **obj)
{
        const struct resource *to = storage_version(res);
        struct json *out = to ? json_clone(r->arena, *obj) : NULL;
        const struct status *st = to ? conversion_of(r, to, &out, 1) : NULL;

        if (!to || st)
                return st;
        json_set_string(r->arena, out, "apiVersion", wanted_version(r->arena, to));
        crd_decode(r->arena, to->schema, out, NULL, NULL);
        *obj = out;
        return NULL;
}

const struct status *conversion_from_storage(struct api_request *r, const struct resource *res, struct json **obj)
{
        struct json *out = storage_version(res) ? json_clone(r->arena, *obj) : NULL;
        const struct status *st = out ? conversion_of(r, res, &out, 1) : NULL;

        if (!out || st)
                return st;
        *obj = convert_object(r->arena, res, res, out);
        return NULL;
}

const struct status *registry_converted(struct api_request *r, const struct resource *to, struct entry *const *entries,
                                        size_t n)
{
        struct arena *a = r->arena;
        const char *want, **keys;
        const struct status *st;
        struct json **objs;
        size_t m = 0;

        if (!webhook_of(to))
                return NULL;
        want = wanted_version(a, to);
        objs = arena_alloc(a, (n + 1) * sizeof(struct json *));
        keys = arena_alloc(a, (n + 1) * sizeof(const char *));
        for (size_t i = 0; i < n; i++) {
                const struct entry *e = entries[i];
                const char *key;
                struct json *obj = NULL;

                if (json_parse_written(a, e->json->data, e->json->len, &obj) < 0 ||
                    streq(json_get_string(obj, "apiVersion"), want))
                        continue;
                key = key_of(a, to, obj);
                if (!key || recall(key))
                        continue;
                keys[m] = key;
                objs[m++] = obj;
        }
        st = conversion_of(r, to, objs, m);
        for (size_t i = 0; i < m && !st; i++)
                remember(a, keys[i], objs[i]);
        return st;
}

bool registry_unconverted(const struct resource *res, const struct entry *e)
{
        _cleanup_arena_ struct arena *a = NULL;
        struct json *obj = NULL;
        const char *key;

        if (!webhook_of(res))
                return false;
        a = arena_new(0);
        if (json_parse_written(a, e->json->data, e->json->len, &obj) < 0 ||
            streq(json_get_string(obj, "apiVersion"), wanted_version(a, res)))
                return false;
        key = key_of(a, res, obj);
        return key && !recall(key);
}

/* Whoever writes such an object again moves it, even if nothing in it changes. */
bool conversion_outdated(const struct resource *res, const struct entry *e)
{
        const struct resource *stored = res->crd ? res->crd->crd->stored : NULL;
        _cleanup_arena_ struct arena *a = NULL;
        struct json *obj = NULL;

        if (!stored)
                return false;
        a = arena_new(0);
        return json_parse_written(a, e->json->data, e->json->len, &obj) == 0 &&
               !streq(json_get_string(obj, "apiVersion"), wanted_version(a, stored));
}
