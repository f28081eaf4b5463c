/* A wall clock that a test moves under one process: loaded before the C library, it adds the seconds that the file named
   by LIMPID_SKEW_FILE holds. The machine's own clock cannot be moved: other tests live by it.

   Owns: what the process is told of CLOCK_REALTIME, and waits that name a moment of it. Does not own: the monotonic
   clock, which no jump moves. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t none;
static _Atomic int64_t *seconds = &none;
static int (*wait_until)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("LIMPID_SKEW_FILE");
  int file = path ? open(path, O_RDONLY) : -1;
  void *there = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
  if (there == MAP_FAILED) abort();
  seconds = there;
  /* The oldest of its versions knows nothing of its own clock. */
  wait_until = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!wait_until) wait_until = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int done = syscall(SYS_clock_gettime, clock, now);
  if (!done && clock == CLOCK_REALTIME) now->tv_sec += *seconds;
  return done;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *moment) {
  struct timespec real = *moment;
  real.tv_sec -= *seconds;
  return wait_until(condition, mutex, &real);
}
