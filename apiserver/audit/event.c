/* Events as JSON, their fields in the order of upstream's type: see event.h. */
#include "event.h"

#include "../../lib/base/time.h"

static void put(struct strbuf *out, const char *key, const char *text)
{
        strbuf_printf(out, ",\"%s\":", key);
        json_write_string(out, text, strlen(text));
}

static void put_json(struct strbuf *out, const char *key, const struct json *j)
{
        if (!j)
                return;
        strbuf_printf(out, ",\"%s\":", key);
        json_write(out, j);
}

static void put_raw(struct strbuf *out, const char *key, const char *json)
{
        if (json)
                strbuf_printf(out, ",\"%s\":%s", key, json);
}

/* {"metadata":{},"status":"Failure",...,"code":404} */
static void put_status(struct strbuf *out, const struct audit_event *e)
{
        static const char *const fields[] = {"status", "message", "reason", "details"};

        strbuf_puts(out, ",\"responseStatus\":{\"metadata\":{}");
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                put_json(out, fields[i], json_get(e->status, fields[i]));
        if (e->code)
                strbuf_printf(out, ",\"code\":%u", e->code);
        strbuf_putc(out, '}');
}

static void put_ref(struct strbuf *out, const struct json *ref)
{
        static const char *const fields[] = {"namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion",
                                             "subresource"};

        if (!ref)
                return;
        strbuf_puts(out, ",\"objectRef\":{\"resource\":");
        json_write(out, json_get(ref, "resource"));
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                put_json(out, fields[i], json_get(ref, fields[i]));
        strbuf_putc(out, '}');
}

void audit_event_write(const struct audit_event *e, unsigned stage, int64_t now, struct strbuf *out)
{
        bool answered = stage != AUDIT_STAGE_RECEIVED, whole = stage == AUDIT_STAGE_COMPLETE;
        char when[TIME_BUF];

        strbuf_printf(out, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"%s\"", audit_level_name(e->decision.level));
        put(out, "auditID", e->id);
        put(out, "stage", audit_stage_name(stage));
        put(out, "requestURI", e->uri);
        put(out, "verb", e->verb);
        put_json(out, "user", e->user);
        if (answered)
                put_json(out, "impersonatedUser", e->impersonated);
        put_json(out, "sourceIPs", e->ips);
        if (*e->agent)
                put(out, "userAgent", e->agent);
        put_ref(out, e->ref);
        if (answered)
                put_status(out, e);
        if (answered)
                put_raw(out, "requestObject", e->request);
        if (whole)
                put_raw(out, "responseObject", e->response);
        put(out, "requestReceivedTimestamp", time_format_micro(e->received, when));
        put(out, "stageTimestamp", time_format_micro(now, when));
        if (answered && json_len(e->annotations))
                put_json(out, "annotations", e->annotations);
        strbuf_puts(out, "}\n");
}

void audit_event_cut(struct audit_event *e)
{
        e->request = e->response = NULL;
        json_set_string(e->arena, e->annotations, "audit.k8s.io/truncated", "true");
}

void audit_strip(struct json *obj)
{
        json_path_del(obj, "metadata.managedFields");
        json_foreach_item(json_get(obj, "items"), item)
                json_path_del(item, "metadata.managedFields");
}
