// Say what is wrong, and end.
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

_Noreturn void fail(int status, const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("error: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
  exit(status);
}

// Kernels leave their errors here; run.c ends the program with it.
char raised[1024];

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count) {
  snprintf(raised, sizeof raised, "%s: ", kind);
  for (int32_t i = 0; i < count; ++i)
    if (parts[i]) strncat(raised, parts[i], sizeof raised - strlen(raised) - 1);
}

void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) {
  TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

static void say(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(EXIT_CPU);
}

static void on_illegal_instruction(int signal) {
  (void)signal;
  say("error: this CPU lacks instructions that the model was compiled for: ");
  say(model.target);
  say(" needs ");
  say(model.needs);
  say("; build it for a target without\n");
  _exit(EXIT_CPU);
}

void tell_missing_features(void) { signal(SIGILL, on_illegal_instruction); }
