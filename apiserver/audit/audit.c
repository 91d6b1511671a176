/* The events of requests that are under way (audit.h).
 *
 *      audit_begin() --> RequestReceived --> what the layers tell --> audit_handled() --\
 *                                                       http_on_end() ------------------+--> ResponseComplete
 *
 * An event has an arena of its own: a watch outlives its request. It is done when the handler is through and the answer
 * has ended, in whichever order.
 */
#include "audit.h"

#include <errno.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "../../lib/json/yaml.h"
#include "../schema/decode.h"
#include "event.h"
#include "webhook.h"

#define AGENT_MAX 1024
#define POLICY_MAX ((size_t)4 << 20)

static struct {
        struct arena *arena; /* the policy's */
        struct audit_policy *policy;
        struct audit_log *log;
        struct audit_webhook *webhook;
        int64_t max_event;
        uint64_t dropped; /* longer than that even so */
} audit;

/* --- set-up --- */

int audit_start(struct apiserver *s, const struct audit_options *o, struct error *reterr)
{
        _cleanup_free_ char *text = NULL;
        struct json *doc;
        size_t len;
        int r;

        if (!o->policy_file || (!o->log.path && !o->webhook_file))
                return 0;
        audit.max_event = o->max_event;
        audit.arena = arena_new(0);
        r = file_read(o->policy_file, POLICY_MAX, &text, &len, reterr);
        if (r == 0)
                r = yaml_parse(audit.arena, text, len, NULL, &doc, reterr);
        if (r == 0)
                r = audit_policy_read(audit.arena, doc, &audit.policy, reterr);
        if (r < 0)
                return error_wrap(reterr, r, "loading audit policy file %s", o->policy_file);
        if (o->log.path)
                r = audit_log_open(s->loop, &o->log, &audit.log, reterr);
        if (r == 0 && o->webhook_file)
                r = audit_webhook_open(s->loop, o->webhook_file, o->webhook_max_wait, &audit.webhook, reterr);
        return r;
}

void audit_stop(void)
{
        audit_log_close(audit.log);
        audit.log = NULL;
        audit_webhook_close(audit.webhook);
        audit.webhook = NULL;
        arena_free(audit.arena);
        audit.arena = NULL;
}

void audit_metrics(struct strbuf *out)
{
        uint64_t lines, lost;

        audit_log_counts(audit.log, &lines, &lost);
        strbuf_printf(out,
                      "# TYPE apiserver_audit_event_total counter\napiserver_audit_event_total %llu\n"
                      "# TYPE apiserver_audit_error_total counter\napiserver_audit_error_total{plugin=\"log\"} %llu\n"
                      "apiserver_audit_error_total{plugin=\"webhook\"} %llu\n",
                      (unsigned long long)lines, (unsigned long long)(lost + audit.dropped),
                      (unsigned long long)audit_webhook_lost(audit.webhook));
}

/* Ids are needed for every answer and are no secret: a generator of our own, seeded once (splitmix64). */
static uint64_t next_random(void)
{
        static uint64_t state;
        uint64_t z;

        while (!state)
                random_bytes(&state, sizeof(state));
        z = state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

const char *audit_id(const struct http_request *http, char buf[AUDIT_ID_BUF])
{
        static const char digits[] = "0123456789abcdef";
        const char *given = http_header(http, "Audit-ID");
        uint64_t bits[2];
        char *to = buf;

        if (!str_empty(given))
                return given;
        bits[0] = (next_random() & ~UINT64_C(0xf0000000000000)) | UINT64_C(0x40000000000000); /* the seventh byte: version 4 */
        bits[1] = (next_random() & ~UINT64_C(0xc0)) | UINT64_C(0x80);                          /* variant 1 */
        for (unsigned i = 0; i < 16; i++) {
                unsigned byte = bits[i / 8] >> i % 8 * 8 & 255;

                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *to++ = '-';
                *to++ = digits[byte >> 4];
                *to++ = digits[byte & 15];
        }
        *to = '\0';
        return buf;
}

/* --- making an event --- */

static struct json *user_json(struct arena *a, const struct user_info *user)
{
        struct json *j = json_new_object(a), *groups;

        if (!user)
                return j;
        json_set_string(a, j, "username", user->name);
        if (!str_empty(user->uid))
                json_set_string(a, j, "uid", user->uid);
        if (user->groups && *user->groups) {
                groups = json_ensure_array(a, j, "groups");
                for (const char *const *g = user->groups; *g; g++)
                        json_append(a, groups, json_new_string(a, *g));
        }
        if (json_len(user->extra))
                json_set(a, j, "extra", json_clone(a, user->extra));
        return j;
}

/* Proxies first, as they say; then who is at the other end. */
static struct json *source_ips(struct arena *a, const struct http_request *http)
{
        const char *forwarded = http_header(http, "X-Forwarded-For"), *real = http_header(http, "X-Real-Ip"), *last = "";
        const char *peer = http->peer ? http->peer->address : "";
        char *save = NULL, *copy = forwarded ? arena_strdup(a, forwarded) : NULL;
        struct json *list = json_new_array(a);
        bool told = false;

        for (char *ip = copy ? strtok_r(copy, ", ", &save) : NULL; ip; ip = strtok_r(NULL, ", ", &save)) {
                json_append(a, list, json_new_string(a, ip));
                last = ip;
        }
        for (size_t i = 0; i < json_len(list); i++)
                told |= streq(json_string(json_at(list, i)), real);
        if (!str_empty(real) && !told) {
                json_append(a, list, json_new_string(a, real));
                last = real;
        }
        if (!streq(last, peer))
                json_append(a, list, json_new_string(a, peer));
        return list;
}

static struct json *object_ref(struct arena *a, const struct api_request *r)
{
        struct json *ref;

        if (!r->is_resource)
                return NULL;
        ref = json_new_object(a);
        json_set_string(a, ref, "resource", r->resource);
        if (*r->namespace)
                json_set_string(a, ref, "namespace", r->namespace);
        if (*r->name)
                json_set_string(a, ref, "name", r->name);
        if (*r->group)
                json_set_string(a, ref, "apiGroup", r->group);
        json_set_string(a, ref, "apiVersion", r->version);
        if (*r->subresource)
                json_set_string(a, ref, "subresource", r->subresource);
        return ref;
}

static bool is_long_running(const struct api_request *r)
{
        static const char *const subresources[] = {"attach", "exec", "log", "portforward", "proxy"};

        if (streq(r->verb, "watch"))
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(subresources); i++)
                if (streq(r->subresource, subresources[i]))
                        return true;
        return false;
}

static const char *user_agent(struct arena *a, const struct http_request *http)
{
        const char *agent = http_header(http, "User-Agent");

        if (!agent)
                return "";
        return strlen(agent) > AGENT_MAX ? arena_printf(a, "%.*s...TRUNCATED", AGENT_MAX, agent) : arena_strdup(a, agent);
}

static void write_stage(const struct audit_event *e, unsigned stage)
{
        _cleanup_strbuf_ struct strbuf line = STRBUF_INIT;

        if (e->decision.omit_stages & stage || (!audit.log && !audit.webhook))
                return;
        audit_event_write(e, stage, time_real(), &line);
        if (audit.max_event && (int64_t)line.len > audit.max_event) {
                struct audit_event cut = *e;

                cut.annotations = json_clone(e->arena, e->annotations);
                audit_event_cut(&cut);
                strbuf_reset(&line);
                audit_event_write(&cut, stage, time_real(), &line);
                if ((int64_t)line.len > audit.max_event) {
                        audit.dropped++;
                        return;
                }
        }
        if (audit.log)
                audit_log_line(audit.log, line.data, line.len);
        if (audit.webhook)
                audit_webhook_line(audit.webhook, line.data, line.len);
}

static const char *methods(struct arena *a, const struct http_request *http)
{
        const char *authorization = http_header(http, "Authorization"), *list = "";

        if (authorization && strncasecmp(authorization, "basic ", 6) == 0)
                list = "basic";
        else if (authorization && strncasecmp(authorization, "bearer ", 7) == 0)
                list = "bearer";
        if (http->peer && http->peer->cert_der)
                list = arena_printf(a, "%s%sx509", list, *list ? ", " : "");
        return *list ? arena_printf(a, "Authentication failed, attempted: %s", list) : "Authentication failed, no credentials provided";
}

static void on_end(void *event);

void audit_begin(struct api_request *r, bool known)
{
        const struct audit_attributes at = {
                .user = known ? r->real_user.name : NULL, .groups = r->real_user.groups, .verb = r->verb,
                .is_resource = r->is_resource, .namespace = r->namespace, .group = r->group, .resource = r->resource,
                .subresource = r->subresource, .name = r->name, .path = r->path,
        };
        struct audit_decision d = {.level = AUDIT_NONE};
        struct audit_event *e;
        struct arena *a;

        if (audit.policy)
                d = audit_decide(audit.policy, &at);
        if (d.level == AUDIT_NONE)
                return;
        a = arena_new(0);
        e = arena_calloc(a, sizeof(*e));
        *e = (struct audit_event){
                .arena = a, .decision = d, .id = arena_strdup(a, r->audit_id), .uri = arena_strdup(a, r->http->target),
                .verb = arena_strdup(a, r->verb), .agent = user_agent(a, r->http), .ips = source_ips(a, r->http),
                .user = user_json(a, known ? &r->real_user : NULL), .ref = object_ref(a, r), .annotations = json_new_object(a),
                .received = time_real(), .long_running = is_long_running(r), .anonymous = !known,
        };
        if (known && r->user.name != r->real_user.name)
                e->impersonated = user_json(a, &r->user);
        if (!known) {
                e->status = json_new_object(a);
                json_set_string(a, e->status, "message", methods(a, r->http));
        } else {
                write_stage(e, AUDIT_STAGE_RECEIVED);
        }
        r->audit = e;
        http_on_end(r->http, on_end, e);
}

/* --- its end --- */

static void finish(struct audit_event *e)
{
        if (!e->handled || !e->ended)
                return;
        if (e->long_running && !e->started && !e->anonymous)
                write_stage(e, AUDIT_STAGE_STARTED);
        write_stage(e, e->anonymous ? AUDIT_STAGE_STARTED : AUDIT_STAGE_COMPLETE);
        arena_free(e->arena);
}

static void on_end(void *event)
{
        struct audit_event *e = event;

        e->ended = true;
        finish(e);
}

void audit_handled(struct api_request *r)
{
        struct audit_event *e = r->audit;

        if (!e)
                return;
        r->audit = NULL;
        e->handled = true;
        e->code = http_status(r->http);
        if (!e->ended && e->long_running && !e->anonymous) {
                e->started = true;
                write_stage(e, AUDIT_STAGE_STARTED);
        }
        finish(e);
}

/* --- what the layers tell --- */

void audit_annotate(struct api_request *r, const char *key, const char *value)
{
        struct audit_event *e = r->audit;

        if (e && !json_get(e->annotations, key))
                json_set_string(e->arena, e->annotations, key, value);
}

bool audit_shows_bodies(const struct api_request *r)
{
        return r->audit && r->audit->decision.level >= AUDIT_REQUEST;
}

void audit_join(struct api_request *r, const char *key, const char *value)
{
        struct audit_event *e = r->audit;
        const char *text = e ? json_get_string(e->annotations, key) : NULL;

        if (!text) {
                audit_annotate(r, key, value);
                return;
        }
        for (const char *at = text; *at;) {
                const char *comma = strstr(at, ", ");
                size_t len = comma ? (size_t)(comma - at) : strlen(at);

                if (len == strlen(value) && memcmp(at, value, len) == 0)
                        return;
                at += len + (comma ? 2 : 0);
        }
        json_set_string(e->arena, e->annotations, key, arena_printf(e->arena, "%s, %s", text, value));
}

void audit_append(struct api_request *r, const char *key, const struct json *x)
{
        struct audit_event *e = r->audit;
        const char *text;
        struct json *list = NULL;

        if (!e)
                return;
        text = json_get_string(e->annotations, key);
        if (!text || json_parse(e->arena, text, strlen(text), NULL, &list, NULL) < 0)
                list = json_new_array(e->arena);
        json_append(e->arena, list, json_clone(e->arena, x));
        json_set_string(e->arena, e->annotations, key, json_print(e->arena, list));
}

/* Text in the event's arena; what is not to be recorded is left out. */
static const char *text_of(struct audit_event *e, const struct json *obj)
{
        _cleanup_arena_ struct arena *a = NULL;
        struct json *copy;

        if (!e->decision.omit_managed_fields)
                return json_print(e->arena, obj);
        a = arena_new(0);
        copy = json_clone(a, obj);
        audit_strip(copy);
        return json_print(e->arena, copy);
}

static void complete_ref(struct audit_event *e, const struct json *obj)
{
        static const char *const fields[] = {"namespace", "name", "uid", "resourceVersion"};

        for (size_t i = 0; e->ref && i < ARRAY_SIZE(fields); i++) {
                const char *value = json_get_string(json_get(obj, "metadata"), fields[i]);

                if (!str_empty(value) && !json_get(e->ref, fields[i]))
                        json_set_string(e->arena, e->ref, fields[i], value);
        }
}

void audit_request_object(struct api_request *r, const struct json *obj, bool patch)
{
        struct audit_event *e = r->audit;

        if (!e || !obj)
                return;
        if (!patch)
                complete_ref(e, obj);
        if (e->decision.level >= AUDIT_REQUEST && !patch && r->res && !r->res->crd && !*r->subresource) {
                struct json *whole = json_clone(r->arena, obj); /* as Go's types would write it */

                schema_canonicalise(r->arena, r->res->schema, whole);
                obj = whole;
        }
        if (e->decision.level >= AUDIT_REQUEST)
                e->request = patch ? json_print(e->arena, obj) : text_of(e, obj);
}

void audit_response_object(struct api_request *r, const struct json *obj)
{
        struct audit_event *e = r->audit;

        if (e && obj && !e->response && r->is_resource && e->decision.level >= AUDIT_REQUEST_RESPONSE)
                e->response = text_of(e, obj);
}

void audit_response_parts(struct api_request *r, struct buffer *const *parts, const uint32_t *skips, size_t n)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        _cleanup_arena_ struct arena *a = NULL;
        struct audit_event *e = r->audit;
        struct json *obj;

        if (!e || e->response || !r->is_resource || e->decision.level < AUDIT_REQUEST_RESPONSE)
                return;
        for (size_t i = 0; i < n; i++) {
                size_t skip = skips ? MIN((size_t)skips[i], parts[i]->len) : 0;

                strbuf_append(&b, parts[i]->data + skip, parts[i]->len - skip);
        }
        a = arena_new(0);
        if (json_parse(a, strbuf_str(&b), b.len, NULL, &obj, NULL) == 0)
                e->response = text_of(e, obj);
}

void audit_status(struct api_request *r, const struct json *status)
{
        struct audit_event *e = r->audit;

        if (!e || e->anonymous)
                return;
        e->status = json_clone(e->arena, status);
        audit_response_object(r, status);
}
