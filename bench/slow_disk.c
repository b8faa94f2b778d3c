/* A slower disk than is at hand, for benches on SQLite: each flush takes FLUSH_US microseconds more.

       cc -shared -fPIC -o slow_disk.so bench/slow_disk.c -ldl
       FLUSH_US=1000 LD_PRELOAD=./slow_disk.so python -m bench.quota
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int file) {
    int (*flush)(int) = dlsym(RTLD_NEXT, name);
    const char *microseconds = getenv("FLUSH_US");
    usleep(microseconds ? atoi(microseconds) : 1000);
    return flush(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
