// The command line of a compiled model.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

enum { MOST_CPUS = 256 };

static struct {
  int threads, repeat, copies, time, kernels;
  double least;
  unsigned limit;
  int cpus[MOST_CPUS], cpu_count;
} options = {.repeat = 1, .copies = 1};

static void print_end(const struct end *end) {
  const struct tensor *tensor = &model.tensors[end->tensor];
  const char *shape = shape_text(tensor->ndim, tensor->shape);
  printf("  %s: %s %s\n", end->name, dtype_name(tensor->dtype), shape);
}

static void help(const char *program) {
  printf("usage: %s [options] INPUT.npy ... OUTPUT.npy ...\n\ninputs:\n", program);
  for (int32_t i = 0; i < model.input_count; ++i) print_end(&model.inputs[i]);
  puts("outputs:");
  for (int32_t i = 0; i < model.output_count; ++i) print_end(&model.outputs[i]);
  printf(
      "\noptions:\n"
      "  --threads N    threads that compute; by default %d, or as many as there are CPUs\n"
      "  --cpus LIST    pin threads to CPUs, e.g. 4,5,6,7\n"
      "  --time         print the seconds of each run, in JSON; files may be left out\n"
      "  --repeat N     run N times, after one that is not timed (1)\n"
      "  --kernels      with --time: the seconds of each kernel, too\n"
      "  --copies N     take N copies of the weights in turns, so that caches do not keep them\n"
      "  --least S      repeat runs until S seconds are over; seconds are their means\n"
      "  --limit S      be ended by SIGALRM after S seconds\n"
      "  --help         print this\n\n"
      "compiled for %s\n",
      model.threads, model.target);
}

static long number(const char *option, const char *text, long least) {
  char *rest;
  errno = 0;
  long found = strtol(text, &rest, 10);
  if (rest == text || *rest || errno || found < least || found > 1 << 20)
    fail(EXIT_WRONG_USE, "%s takes a whole number from %ld, got '%s'", option, least, text);
  return found;
}

static double seconds_of(const char *option, const char *text) {
  char *rest;
  double found = strtod(text, &rest);
  if (rest == text || *rest || !(found >= 0))
    fail(EXIT_WRONG_USE, "%s takes seconds, got '%s'", option, text);
  return found;
}

static void take_cpus(char *list) {
  for (char *one = strtok(list, ","); one; one = strtok(NULL, ",")) {
    long cpu = number("--cpus", one, 0);
    if (options.cpu_count == MOST_CPUS || cpu >= CPU_SETSIZE)
      fail(EXIT_WRONG_USE, "--cpus takes at most %d CPUs below %d", MOST_CPUS, CPU_SETSIZE);
    options.cpus[options.cpu_count++] = (int)cpu;
  }
}

static void take_value(const char *option, char *value) {
  if (!strcmp(option, "--threads")) options.threads = number(option, value, 1);
  else if (!strcmp(option, "--cpus")) take_cpus(value);
  else if (!strcmp(option, "--repeat")) options.repeat = number(option, value, 1);
  else if (!strcmp(option, "--copies")) options.copies = number(option, value, 1);
  else if (!strcmp(option, "--least")) options.least = seconds_of(option, value);
  else if (!strcmp(option, "--limit")) options.limit = number(option, value, 1);
  else fail(EXIT_WRONG_USE, "unknown option %s; see --help", option);
}

// Returns how many arguments are files; they are moved to the front, behind the program's name.
static int take_options(int count, char **arguments) {
  int files = 0;
  for (int i = 1; i < count; ++i) {
    char *one = arguments[i];
    if (!strcmp(one, "--help")) help(arguments[0]), exit(0);
    else if (!strcmp(one, "--time")) options.time = 1;
    else if (!strcmp(one, "--kernels")) options.kernels = 1;
    else if (strncmp(one, "--", 2)) arguments[++files] = one;
    else if (i + 1 == count) fail(EXIT_WRONG_USE, "unknown option %s, or no value; see --help", one);
    else take_value(one, arguments[++i]);
  }
  return files;
}

static void choose_threads(void) {
  cpu_set_t usable;
  int cpus = sched_getaffinity(0, sizeof usable, &usable) ? 1 : CPU_COUNT(&usable);
  if (options.cpu_count) cpus = options.cpu_count;
  if (!options.threads) options.threads = model.threads < cpus ? model.threads : cpus;
  begin_threads(options.threads, options.cpus, options.cpu_count);
}

// The mean seconds of `runs` runs.
static double timed(long runs, double *kernels) {
  static long run;
  double begin = now();
  for (long i = 0; i < runs; ++i) run_model((int)(run++ % options.copies), kernels);
  return (now() - begin) / runs;
}

static void measure(void) {
  double *kernels = options.kernels ? calloc(model.call_count + 1, sizeof *kernels) : NULL;
  double once = timed(1, NULL);
  long runs = options.least > once ? (long)(options.least / (once > 1e-7 ? once : 1e-7)) + 1 : 1;
  printf("{\"threads\": %d, \"seconds\": [", options.threads);
  for (int i = 0; i < options.repeat; ++i) printf("%s%.9g", i ? ", " : "", timed(runs, kernels));
  printf("]");
  if (kernels) {
    printf(", \"kernels\": [");
    for (int32_t i = 0; i < model.call_count; ++i)
      printf("%s[\"%s\", %.9g]", i ? ", " : "", model.calls[i].name,
             kernels[i] / (runs * (double)options.repeat));
    printf("]");
  }
  puts("}");
}

int main(int count, char **arguments) {
  tell_missing_features();
  int files = take_options(count, arguments), ends = model.input_count + model.output_count;
  if (files != ends && (files || !options.time))
    fail(EXIT_WRONG_USE, "expected %d .npy files for inputs and %d for outputs, got %d; see %s --help",
         model.input_count, model.output_count, files, arguments[0]);
  alarm(options.limit);
  choose_threads();
  begin_model(options.copies);
  for (int32_t i = 0; files && i < model.input_count; ++i)
    read_npy(arguments[1 + i], model.inputs[i].name, tensor_of(model.inputs[i]));
  run_model(0, NULL);
  if (options.time) measure();
  for (int32_t i = 0; files && i < model.output_count; ++i)
    write_npy(arguments[1 + model.input_count + i], tensor_of(model.outputs[i]));
  return EXIT_SUCCESS;
}
