/* etcd is trusted, a broken one is not: no bytes may make the readers step out of their message. */
#include "etcd-wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct bytes b = { (const char *)data, size };
        struct wire_answer a;
        struct wire_watch w;
        volatile char sink = 0;

        for (int type = WIRE_RANGE; type <= WIRE_HEADER_ONLY; type++) {
                if (wire_read((enum wire_message)type, b, &a) == 0)
                        for (size_t i = 0; i < a.n_kvs; i++)
                                for (size_t j = 0; j < a.kvs[i].value.len; j++)
                                        sink += a.kvs[i].value.p[j];
                wire_answer_deinit(&a);
        }
        if (wire_read_watch(b, &w) == 0)
                for (size_t i = 0; i < w.n_events; i++)
                        for (size_t j = 0; j < w.events[i].kv.key.len; j++)
                                sink += w.events[i].kv.key.p[j];
        wire_watch_deinit(&w);
        return 0;
}
