/* Answers of HTTP servers, which may be any container that is probed: fed in pieces, as sockets would. */
#include "client-internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct loop *loop;
        struct http_client_options o = {.max_body = 1000};
        struct http_call call = {.url = "http://h/", .no_reuse = true, .no_redirects = true};
        struct http_reply reply = {0};
        struct http_client *client;
        struct http_exchange *x;
        struct link *l;
        size_t step;

        if (size < 2)
                return 0;
        if (!loop)
                loop = loop_new();
        http_client_new(loop, &o, &client, NULL);
        call.method = data[0] & 1 ? "HEAD" : "GET";
        step = data[1] ? data[1] : size;
        x = exchange_new(client, &call);
        x->reply = &reply;
        exchange_read_url(x);
        x->link = l = link_get(x);
        l->exchange = x;
        l->state = LINK_ACTIVE;
        for (size_t at = 2; at < size && !x->done; at += step)
                if (!exchange_take(l, (const char *)data + at, MIN(step, size - at)))
                        break;
        if (!x->done && !exchange_take_end(x))
                exchange_finish(x, -ECONNRESET, "the server closed the connection");
        if (!x->done || (x->code == 0 && x->status < 100) || reply.body.len > 1000)
                abort();
        exchange_unpin(x);
        http_reply_deinit(&reply);
        http_client_free(client);
        return 0;
}
