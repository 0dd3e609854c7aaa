/* A clock two hours ahead, for the Kerberos library of one process: LD_PRELOAD. */
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    long result = syscall(SYS_gettimeofday, now, NULL);
    now->tv_sec += 2 * 60 * 60;
    return result;
}

time_t time(time_t *out) {
    struct timeval now;
    gettimeofday(&now, NULL);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
