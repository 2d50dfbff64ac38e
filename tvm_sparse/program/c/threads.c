// Threads that share the tasks of a kernel's parallel loop. They sleep until there is work: who
// looks for it instead gains little, and keeps from work whoever shares the CPU.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <tvm/runtime/c_backend_api.h>

#include "program.h"

enum { STACK_BYTES = 8 << 20 };  // of a thread; musl's default is too small for kernels

static struct {
  FTVMParallelLambda task;
  void *closure;
  TVMParallelGroupEnv group;
  unsigned number;
  int unfinished;  // threads beside the first
} job;
static int thread_count = 1;
static atomic_int failed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static _Thread_local int in_job;

// A thread takes every thread_count-th task.
static void work(int thread) {
  in_job = 1;
  for (int task = thread; task < job.group.num_task; task += thread_count)
    if (job.task(task, &job.group, job.closure)) failed = 1;
  in_job = 0;
}

static void *serve(void *thread) {
  for (unsigned seen = 0;; ++seen) {
    pthread_mutex_lock(&lock);
    while (job.number == seen) pthread_cond_wait(&begun, &lock);
    pthread_mutex_unlock(&lock);
    work((int)(intptr_t)thread);
    pthread_mutex_lock(&lock);
    if (--job.unfinished == 0) pthread_cond_signal(&finished);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

// A loop inside of a parallel loop, or where there is one thread.
static int run_alone(FTVMParallelLambda task, void *closure, int tasks) {
  TVMParallelGroupEnv group = {.num_task = tasks ? tasks : 1};
  for (int i = 0; i < group.num_task; ++i)
    if (task(i, &group, closure)) return -1;
  return 0;
}

int TVMBackendParallelLaunch(FTVMParallelLambda task, void *closure, int tasks) {
  if (in_job || thread_count == 1) return run_alone(task, closure, tasks);
  failed = 0;
  pthread_mutex_lock(&lock);
  job.task = task;
  job.closure = closure;
  job.group.num_task = tasks ? tasks : thread_count;
  job.unfinished = thread_count - 1;
  ++job.number;
  pthread_cond_broadcast(&begun);
  pthread_mutex_unlock(&lock);
  work(0);
  pthread_mutex_lock(&lock);
  while (job.unfinished) pthread_cond_wait(&finished, &lock);
  pthread_mutex_unlock(&lock);
  return failed ? -1 : 0;
}

static void pin(pthread_t thread, int cpu) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  if (pthread_setaffinity_np(thread, sizeof only, &only))
    fail(EXIT_WRONG_USE, "there is no CPU %d that this program may use", cpu);
}

void begin_threads(int threads, const int *cpus, int cpu_count) {
  thread_count = threads;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  if (cpu_count) pin(pthread_self(), cpus[0]);
  for (int i = 1; i < threads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)i))
      fail(EXIT_FAILURE, "cannot start thread %d of %d", i + 1, threads);
    if (cpu_count) pin(thread, cpus[i % cpu_count]);
  }
}
