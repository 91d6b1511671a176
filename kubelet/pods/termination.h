/* The last words of a container: status.containerStatuses[].state.terminated.message. */
#pragma once

#include "../volumes/volumes.h"

/* The file at terminationMessagePath (at most 4,096 bytes); with FallbackToLogsOnError and a failure, when it is
 * empty, the end of the log (at most 80 lines and 2,048 bytes). NULL: nothing. In the arena. */
char *termination_message(struct volumes *v, struct arena *a, const char *pod_uid, const struct json *container,
                          uint32_t attempt, int exit_code, const char *log_path);
/* The end of a log in the CRI format, as plain text. Pure. */
char *termination_log_tail(struct arena *a, const char *log, size_t len, size_t max_lines, size_t max_bytes);
