/* Files as wholes. Paths are absolute or relative to the working directory. */
#pragma once

#include "error.h"

/* Reads all of PATH, at most MAX bytes (0: 64 MiB). *ret is NUL-terminated, the caller frees.
 * ret_len may be NULL. -EFBIG when larger. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct error *reterr);
/* Writes beside and renames over, fsynced, so that a reader sees the old or the new, never a part. */
int file_write(const char *path, const void *data, size_t len, int mode, struct error *reterr);
int dir_make(const char *path, int mode, struct error *reterr); /* with parents; existing is fine */
/* Removes PATH and all below it, never crossing into another mount. Missing is fine. */
int dir_remove(const char *path, struct error *reterr);
/* Bytes that PATH and all below it take on the disk; of a file with several links a part for each. */
int64_t dir_usage(const char *path);
bool file_exists(const char *path);
/* "no space left on device under PATH: 3 MB free, 64 MB needed"; NULL when there is as much, or when it
 * cannot be told. The caller frees. */
char *disk_shortage(const char *path, uint64_t needed);
/* Lets this process have as many open files as it may (the hard limit); how many that are. */
size_t files_raise_limit(void);
