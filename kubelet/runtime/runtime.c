/* What both runtimes share. */
#include "runtime.h"

void runtime_exec_result_deinit(struct runtime_exec_result *r)
{
        strbuf_deinit(&r->out);
        strbuf_deinit(&r->err);
}
