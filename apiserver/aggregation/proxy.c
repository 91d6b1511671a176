/* Requests for another server's group version: who asks is known and may; the rest is that server's business.
 *
 * The answer goes back as it comes, a watch as a stream, an upgrade as a tunnel (lib/stream/relay.h). Who asks is told
 * in the headers that --requestheader-* of the other server name; it believes them because of the certificate.
 */
#include "../../lib/base/encode.h"
#include "../http/answer.h"
#include "../http/connect.h"
#include "internal.h"

#include <stdio.h>
#include <strings.h>

/* Upstream's own limit of a request that is not a watch. */
#define HEAD_TIMEOUT_NS (60 * NS_PER_SEC)

static void refuse(struct api_request *r, unsigned code, const char *text)
{
        answer_text(r, code, "text/plain; charset=utf-8", arena_printf(r->arena, "%s\n", text));
}

/* As a header's name may hold it: Go's url.PathEscape and lower case, bytes that no token has as %XX. */
static const char *header_key(struct arena *a, const char *key)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (const char *c = key; *c; c++) {
                bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                             strchr("!#$&'*+-.^_`|~", *c);

                if (plain)
                        strbuf_putc(&b, *c);
                else
                        strbuf_printf(&b, "%%%02X", (unsigned char)*c);
        }
        return arena_strndup(a, strbuf_str(&b), b.len);
}

/* A name with a line break in it would be a header of its own. */
static const char *header_value(struct arena *a, const char *value)
{
        char *copy = arena_strdup(a, value);

        for (char *c = copy; *c; c++)
                if (*c == '\r' || *c == '\n')
                        *c = ' ';
        return copy;
}

static const char *const *request_headers(struct api_request *r, const struct place *p, bool upgrade)
{
        static const char *const dropped[] = {"Host", "Accept-Encoding", "X-Forwarded-Host", "Audit-ID"};
        const char *const *from = forwarded_headers(r, upgrade), **to;
        size_t n = 0, groups = 0, extras = 0, at = 0;

        while (from[n])
                n++;
        while (r->user.groups && r->user.groups[groups])
                groups++;
        json_foreach_member(r->user.extra, m)
                extras += json_len(m->value);
        to = arena_alloc(r->arena, (n + 2 * (groups + extras) + 12) * sizeof(*to));
        for (size_t i = 0; i < n; i += 2) {
                size_t k = 0;

                while (k < ARRAY_SIZE(dropped) && strcasecmp(from[i], dropped[k]) != 0)
                        k++;
                if (k < ARRAY_SIZE(dropped))
                        continue;
                to[at++] = from[i];
                to[at++] = from[i + 1];
        }
        to[at++] = "Host";
        to[at++] = arena_printf(r->arena, strchr(p->host, ':') ? "[%s]:%u" : "%s:%u", p->host, p->port);
        if (r->audit_id) { /* the other server's own log has it under the same id */
                to[at++] = "Audit-ID";
                to[at++] = r->audit_id;
        }
        to[at++] = "X-Remote-User";
        to[at++] = header_value(r->arena, r->user.name);
        if (!str_empty(r->user.uid)) {
                to[at++] = "X-Remote-Uid";
                to[at++] = header_value(r->arena, r->user.uid);
        }
        for (size_t i = 0; i < groups; i++) {
                to[at++] = "X-Remote-Group";
                to[at++] = header_value(r->arena, r->user.groups[i]);
        }
        json_foreach_member(r->user.extra, m)
                json_foreach_item(m->value, v)
                        if (json_string(v)) {
                                to[at++] = arena_printf(r->arena, "X-Remote-Extra-%s", header_key(r->arena, m->key));
                                to[at++] = header_value(r->arena, json_string(v));
                        }
        to[at] = NULL;
        return to;
}

/* A server that sends clients elsewhere could send them anywhere, with our credentials for all they know. */
static bool redirects(struct relay *l)
{
        return relay_status(l) >= 300 && relay_status(l) <= 399 && relay_status(l) != 304 && relay_header(l, "Location");
}

static void send_on(struct api_request *r, struct api_service *s, const struct place *p)
{
        bool upgrade = asks_upgrade(r);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct relay *l;
        struct relay_request q = {
                .to = api_service_dial(s, r->arena, p, true),
                .method = r->http->method,
                .target = r->http->target,
                .headers = request_headers(r, p, upgrade),
                .body = r->http->body,
                .body_len = r->http->body_len,
                .upgrade = upgrade,
                .keep = true,
                .head_timeout_ns = HEAD_TIMEOUT_NS,
        };

        if (relay_open(r->server->loop, &q, &l, &err) < 0) {
                refuse(r, 503, arena_printf(r->arena, "error trying to reach service: %s", error_text(&err)));
        } else if (relay_status(l) == 101) {
                relay_upgrade(l, r->http);
        } else if (redirects(l)) {
                relay_free(l);
                refuse(r, 502, "the backend attempted to redirect this request, which is not permitted");
        } else {
                pass_answer(r, l, NULL);
        }
}

static bool hand_over(struct api_request *r, const char *group, const char *version)
{
        struct api_service *s = aggregation_find(group, version);
        struct place place;

        if (!s)
                return false;
        if (!s->available || api_service_place(s, r->arena, &place, NULL) < 0) {
                refuse(r, 503, "service unavailable");
                return true;
        }
        api_service_ref(s);
        send_on(r, s, &place);
        api_service_unref(s);
        return true;
}

bool aggregation_handle(struct api_request *r)
{
        const char *group, *version;

        return r->server->extra.n_remotes && path_group_version(r->arena, r->path, &group, &version) &&
               hand_over(r, group, version);
}

bool aggregation_openapi_v3(struct api_request *r, const char *path)
{
        const char *group, *version;

        return r->server->extra.n_remotes &&
               path_group_version(r->arena, arena_printf(r->arena, "/%s", path), &group, &version) && hand_over(r, group, version);
}
