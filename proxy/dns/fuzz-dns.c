/* Questions of pods and answers of upstream servers are bytes of strangers: any may come. What is read
 * is answered, and written again in a small and in a large message, which must be readable. */
#include "answer.h"
#include "forward.h"

static bool ready(void *ctx)
{
        return true;
}

static bool has_namespace(void *ctx, const char *name)
{
        return name[0] != 'x';
}

static const struct dns_service *service(void *ctx, struct arena *a, const char *namespace, const char *name)
{
        static const struct dns_port port = { "http", "tcp", 80 };
        static const struct dns_endpoint endpoint = { "10.1.2.3", NULL, true, &port, 1 };
        static const char *const ip = "10.96.0.1";
        static const struct dns_service kinds[] = {
                { "n", "a", NULL, false, false, &ip, 1, &port, 1, &endpoint, 1 },
                { "n", "b", NULL, true, false, NULL, 0, &port, 1, &endpoint, 1 },
                { "n", "c", "out.example", false, false, NULL, 0, NULL, 0, NULL, 0 },
                { "n", "d", "d.n.svc.cluster.local", false, false, NULL, 0, NULL, 0, NULL, 0 },
        };

        return name[0] >= 'a' && name[0] <= 'd' ? &kinds[name[0] - 'a'] : NULL;
}

static size_t by_address(void *ctx, struct arena *a, const char *address, const struct dns_service *const **ret)
{
        const struct dns_service **one = arena_alloc(a, sizeof(*one));

        *one = service(ctx, a, "n", "b");
        *ret = one;
        return 1;
}

static void write_and_read(struct arena *a, const struct dns_message *m, size_t max)
{
        uint8_t *buf = malloc(max);
        size_t n = dns_message_write(m, buf, max);
        struct dns_message again;

        if (n > max || (m->qname && dns_message_read(a, buf, n, &again) != 0))
                abort();
        free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct dns_zone zone = {
                .name = dns_name_parse(a, "cluster.local"), .address = "10.96.0.10", .ttl = 30, .turn = 1,
                .source = { ready, has_namespace, service, by_address, NULL },
        };
        struct dns_message m, reply;
        const uint8_t *chase;
        int r = dns_message_read(a, data, size, &m);

        if (r < 0)
                return 0;
        if (dns_answer(&zone, a, &m, r, &reply, &chase) == DNS_CHASE)
                dns_answer_chased(a, &reply, r == 0 ? &m : NULL);
        write_and_read(a, &reply, 512);
        write_and_read(a, &reply, DNS_MESSAGE_MAX);
        if (r == 0) {
                write_and_read(a, &m, 512);
                write_and_read(a, &m, DNS_MESSAGE_MAX);
        }
        return 0;
}
